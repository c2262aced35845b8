"""The towers give what OpenAI's own code gives for the same weights, and have the properties that CLIP's have."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from clipwright.model.config import (
    ModelConfig,
    ResNetConfig,
    TextTransformerConfig,
    VisionTransformerConfig,
)
from clipwright.model.dual_encoder import DualEncoder
from clipwright.model.weights import build_model
from tests.support import REFERENCE, equal_to_reference

TEXT = TextTransformerConfig(context_length=16, vocab_size=600, width=64, layers=2, heads=1, mlp_width=256)


def block_names(theirs: str, ours: str) -> dict[str, str]:
    """OpenAI's names of one residual block to ours."""
    pairs = {
        "ln_1": "attention_norm",
        "attn.in_proj_": "attention.qkv.",
        "attn.out_proj": "attention.output",
        "ln_2": "mlp_norm",
        "mlp.c_fc": "mlp.up",
        "mlp.c_proj": "mlp.down",
    }
    names = {}
    for (their, our), kind in itertools.product(pairs.items(), ("weight", "bias")):
        dot = "" if their.endswith("_") else "."
        names[f"{theirs}.{their}{dot}{kind}"] = f"{ours}.{our}{'' if our.endswith('.') else '.'}{kind}"
    return names


def text_names(layers: int) -> dict[str, str]:
    names = {
        "token_embedding.weight": "text.token_embedding.weight",
        "positional_embedding": "text.position_embedding",
        "ln_final.weight": "text.output_norm.weight",
        "ln_final.bias": "text.output_norm.bias",
        "text_projection": "text.projection.weight",
        "logit_scale": "logit_scale",
    }
    for layer in range(layers):
        names |= block_names(f"transformer.resblocks.{layer}", f"text.blocks.{layer}")
    return names


def vit_names(layers: int) -> dict[str, str]:
    names = {
        "visual.class_embedding": "vision.class_embedding",
        "visual.positional_embedding": "vision.position_embedding",
        "visual.conv1.weight": "vision.patch_embedding.weight",
        "visual.proj": "vision.projection.weight",
    }
    for their, our in (("ln_pre", "input_norm"), ("ln_post", "output_norm")):
        names |= {f"visual.{their}.{kind}": f"vision.{our}.{kind}" for kind in ("weight", "bias")}
    for layer in range(layers):
        names |= block_names(f"visual.transformer.resblocks.{layer}", f"vision.blocks.{layer}")
    return names


def resnet_name(name: str) -> str:
    """OpenAI's name of a weight of the ResNet to ours."""
    path = name.removeprefix("visual.")
    if path.startswith("attnpool."):
        part = path.removeprefix("attnpool.")
        for their, our in {"q_proj": "query", "k_proj": "key", "v_proj": "value", "c_proj": "output"}.items():
            part = part.replace(their, our)
        return f"vision.pool.{part.replace('positional_embedding', 'position_embedding')}"
    path = (
        path.replace("bn", "norm").replace("downsample.0", "downsample.conv").replace("downsample.1", "downsample.norm")
    )
    if path.startswith("layer"):
        return f"vision.stages.{int(path[5]) - 1}{path[6:]}"
    return f"vision.stem.{path}"


def converted(state: dict[str, Tensor], vision_name: Callable[[str], str]) -> dict[str, np.ndarray]:
    text = text_names(TEXT.layers)
    weights = {}
    for name, tensor in state.items():
        if name in ("input_resolution", "context_length", "vocab_size") or name.endswith("num_batches_tracked"):
            continue
        array = tensor.float().numpy()
        array = array.T if name in ("text_projection", "visual.proj") else array  # they multiply from the left
        weights[vision_name(name) if name.startswith("visual.") else text[name]] = array
    return weights


def reference(name: str) -> tuple[dict[str, Tensor], Any]:
    state = torch.load(REFERENCE / f"openai-{name}-state.pt", weights_only=True)
    return state, np.load(REFERENCE / f"openai-{name}-features.npz")


def config_of(state: dict[str, Tensor], name: str) -> ModelConfig:
    vision: VisionTransformerConfig | ResNetConfig
    if name == "vit":
        width, _, patch, _ = state["visual.conv1.weight"].shape
        layers = len({key.split(".")[3] for key in state if key.startswith("visual.transformer.resblocks")})
        vision = VisionTransformerConfig(
            image_size=64, patch_size=patch, width=width, layers=layers, heads=width // 64, mlp_width=4 * width
        )
    else:
        width = state["visual.layer1.0.conv1.weight"].shape[0]
        blocks = [len({k.split(".")[2] for k in state if k.startswith(f"visual.layer{n}.")}) for n in (1, 2, 3, 4)]
        vision = ResNetConfig(
            image_size=64, width=width, stage_blocks=(blocks[0], blocks[1], blocks[2], blocks[3]), heads=width // 2
        )
    width = state["ln_final.weight"].shape[0]
    layers = len({key.split(".")[2] for key in state if key.startswith("transformer.resblocks")})
    text = TextTransformerConfig(
        context_length=16, vocab_size=600, width=width, layers=layers, heads=width // 64, mlp_width=4 * width
    )
    return ModelConfig(embed_dim=state["text_projection"].shape[1], vision=vision, text=text)


@pytest.mark.parametrize("name", ["vit", "rn"])
def test_features_equal_those_of_openai(name: str) -> None:
    state, answer = reference(name)
    config = config_of(state, name)
    names = vit_names(config.vision.layers) if isinstance(config.vision, VisionTransformerConfig) else {}
    model = build_model(config, converted(state, names.__getitem__ if names else resnet_name))
    ids = torch.from_numpy(answer["ids"]).long()
    with torch.inference_mode():
        images = model.image_features(torch.from_numpy(answer["pixels"])).numpy()
        texts = model.text_features(ids, ids.argmax(dim=1)).numpy()
    assert equal_to_reference(images, answer["image_features"])
    assert equal_to_reference(texts, answer["text_features"])


def tiny(vision: ResNetConfig | VisionTransformerConfig) -> DualEncoder:
    torch.manual_seed(0)
    return DualEncoder(ModelConfig(embed_dim=32, vision=vision, text=TEXT)).eval()


VIT = VisionTransformerConfig(image_size=32, patch_size=8, width=64, layers=2, heads=2, mlp_width=128)
RESNET = ResNetConfig(image_size=64, width=8, stage_blocks=(1, 1, 1, 1), heads=4)


def test_padding_behind_the_end_changes_no_text_feature() -> None:
    model = tiny(VIT)
    ids = torch.tensor([[598, 5, 7, 599, 0, 0, 0]])
    ends = torch.tensor([3])
    with torch.inference_mode():
        long, short = model.text_features(ids, ends), model.text_features(ids[:, :4], ends)
    assert torch.allclose(long, short, atol=1e-6)


def test_a_token_after_the_end_is_not_seen() -> None:
    model = tiny(VIT)
    ends = torch.tensor([3])
    with torch.inference_mode():
        a = model.text_features(torch.tensor([[598, 5, 7, 599, 11]]), ends)
        b = model.text_features(torch.tensor([[598, 5, 7, 599, 12]]), ends)
    assert torch.equal(a, b)


def test_resnet_reads_pictures_of_another_size_with_resized_positions() -> None:
    model = tiny(RESNET)
    with torch.inference_mode():
        small = model.image_features(torch.zeros(1, 3, 32, 32))
        large = model.image_features(torch.zeros(1, 3, 96, 96))
    assert small.shape == large.shape == (1, 32)


def test_temperature_starts_at_seven_hundredths() -> None:
    assert tiny(VIT).logit_scale.exp().item() == pytest.approx(1 / 0.07)


def test_images_of_a_batch_do_not_see_each_other() -> None:
    model = tiny(RESNET)
    pixels = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        together, alone = model.image_features(pixels), model.image_features(pixels[1:2])
    assert torch.allclose(together[1:2], alone, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_size": 60}, "not a multiple of patch_size"),
        ({"heads": 3}, "not a multiple of heads"),
        ({"layers": 0}, "must be at least 1"),
        ({"activation": "relu"}, "unknown activation"),
    ],
)
def test_impossible_vision_transformer_is_refused(fields: dict[str, Any], message: str) -> None:
    usual = {"image_size": 64, "patch_size": 8, "width": 64, "layers": 2, "heads": 2, "mlp_width": 128}
    with pytest.raises(ValueError, match=message):
        VisionTransformerConfig(**{**usual, **fields})
