"""The graphs are the torch towers: for every kind of config, at any batch and text length."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.embedding.backends.onnx import OnnxBackend
from clipwright.embedding.backends.torch import TorchBackend
from clipwright.graph.towers import image_graph, text_graph
from clipwright.inputs.input_spec import InputSpec
from clipwright.model.config import (
    ModelConfig,
    ResNetConfig,
    TextTransformerConfig,
    VisionTransformerConfig,
)
from clipwright.model.dual_encoder import DualEncoder
from clipwright.model.openai import OPENAI_CONFIGS
from clipwright.model.shapes import weight_shapes
from clipwright.model.weights import weights_of
from tests.support import equal_to_reference

TEXT = TextTransformerConfig(context_length=12, vocab_size=50, width=32, layers=2, heads=2, mlp_width=48)
SIGLIP_TEXT = TextTransformerConfig(
    context_length=12,
    vocab_size=50,
    width=32,
    layers=1,
    heads=4,
    mlp_width=48,
    activation="gelu_tanh",
    causal=False,
    pool="last",
    projection_bias=True,
)
VIT = VisionTransformerConfig(image_size=32, patch_size=8, width=24, layers=3, heads=3, mlp_width=40)
SIGLIP = VisionTransformerConfig(
    image_size=32,
    patch_size=16,
    width=32,
    layers=2,
    heads=2,
    mlp_width=48,
    activation="gelu_tanh",
    epsilon=1e-6,
    pool="attention",
    patch_bias=True,
    input_norm=False,
    projection=False,
)
BARE = VisionTransformerConfig(
    image_size=32, patch_size=8, width=24, layers=1, heads=3, mlp_width=40, activation="gelu", input_norm=False
)
RESNET = ResNetConfig(image_size=64, width=8, stage_blocks=(1, 2, 1, 2), heads=4)
MODELS = {
    "vit": ModelConfig(embed_dim=16, vision=VIT, text=TEXT),
    "siglip": ModelConfig(embed_dim=32, vision=SIGLIP, text=SIGLIP_TEXT, scores="sigmoid"),
    "picture with a rest": ModelConfig(
        embed_dim=32, vision=replace(SIGLIP, image_size=40), text=SIGLIP_TEXT, scores="sigmoid"
    ),
    "no input norm": ModelConfig(embed_dim=16, vision=BARE, text=TEXT),
    "resnet": ModelConfig(embed_dim=16, vision=RESNET, text=TEXT),
}


def checkpoint(config: ModelConfig) -> Checkpoint:
    """Random weights, statistics of BatchNorm among them."""
    torch.manual_seed(3)
    random = np.random.default_rng(3)
    weights = weights_of(DualEncoder(config))
    for name, array in weights.items():
        if name.endswith(("bias", "running_mean")) or "norm" in name:
            weights[name] = (array + 0.2 * random.standard_normal(array.shape)).astype(np.float32)
        if name.endswith("running_var"):
            weights[name] = random.uniform(0.5, 2, array.shape).astype(np.float32)
    spec = InputSpec(image_size=config.vision.image_size, context_length=12, start_id=48, end_id=49, pad_id=0)
    return Checkpoint(config=config, spec=spec, tokenizer=None, weights=weights)


@pytest.mark.parametrize("name", MODELS)
def test_graphs_equal_the_torch_towers(name: str) -> None:
    model = checkpoint(MODELS[name])
    onnx_backend, torch_backend = OnnxBackend(model), TorchBackend.from_checkpoint(model)
    random = np.random.default_rng(0)
    side = model.config.vision.image_size
    pixels = random.standard_normal((5, 3, side, side)).astype(np.float32)
    assert equal_to_reference(onnx_backend.image_features(pixels), torch_backend.image_features(pixels))
    for length in (12,) if not model.config.text.causal else (3, 7, 12):
        ids = random.integers(1, 48, (4, length))
        ends = random.integers(1, length, 4)
        ours, theirs = onnx_backend.text_features(ids, ends), torch_backend.text_features(ids, ends)
        assert equal_to_reference(ours, theirs)


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_of_any_size_gives_the_same_vectors(name: str) -> None:
    model = checkpoint(MODELS[name])
    backend = OnnxBackend(model)
    random = np.random.default_rng(1)
    side = model.config.vision.image_size
    pixels = random.standard_normal((16, 3, side, side)).astype(np.float32)
    single = np.concatenate([backend.image_features(picture[None]) for picture in pixels])
    assert equal_to_reference(backend.image_features(pixels), single)
    ids, ends = random.integers(1, 48, (16, 12)), random.integers(1, 12, 16)
    one_by_one = [backend.text_features(ids[i : i + 1], ends[i : i + 1]) for i in range(16)]
    assert equal_to_reference(backend.text_features(ids, ends), np.concatenate(one_by_one))


@pytest.mark.parametrize("name", MODELS)
def test_the_graphs_are_valid_and_name_their_inputs(name: str) -> None:
    model = checkpoint(MODELS[name])
    for graph, inputs in (
        (image_graph(model.config, model.weights), ["pixels"]),
        (text_graph(model.config, model.weights), ["ids", "ends"]),
    ):
        assert [value.name for value in graph.inputs] == inputs
        proto = graph.model("weights")
        for initializer in proto.graph.initializer:
            initializer.ClearField("data_location")  # the checker would look for the file
        onnx.shape_inference.infer_shapes(graph.model("weights"), check_type=True, strict_mode=True)
        assert {node.domain for node in proto.graph.node} == {""}


@pytest.mark.parametrize("config", [*MODELS.values(), *OPENAI_CONFIGS.values()], ids=[*MODELS, *OPENAI_CONFIGS])
def test_the_shapes_that_a_config_asks_for_are_those_of_the_torch_module(config: ModelConfig) -> None:
    with torch.device("meta"):
        state = DualEncoder(config).state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    assert weight_shapes(config) == shapes
