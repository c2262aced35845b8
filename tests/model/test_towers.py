"""The towers give what OpenAI's own code gives for the same weights, and have the properties that CLIP's have."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from clipwright.model.config import (
    ModelConfig,
    ResNetConfig,
    TextTransformerConfig,
    VisionTransformerConfig,
)
from clipwright.model.dual_encoder import DualEncoder

TEXT = TextTransformerConfig(context_length=16, vocab_size=600, width=64, layers=2, heads=1, mlp_width=256)


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
        ({"image_size": 6, "pool": "attention"}, "smaller than patch_size"),
        ({"heads": 3}, "not a multiple of heads"),
        ({"layers": 0}, "must be at least 1"),
        ({"activation": "relu"}, "unknown activation"),
    ],
)
def test_impossible_vision_transformer_is_refused(fields: dict[str, Any], message: str) -> None:
    usual = {"image_size": 64, "patch_size": 8, "width": 64, "layers": 2, "heads": 2, "mlp_width": 128}
    with pytest.raises(ValueError, match=message):
        VisionTransformerConfig(**{**usual, **fields})
