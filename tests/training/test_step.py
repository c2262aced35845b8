"""A step trains what the config says, on texts that are the same in whatever company."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from clipwright.model.config import ModelConfig, ResNetConfig, TextTransformerConfig
from clipwright.model.dual_encoder import DualEncoder
from clipwright.training.optimizer import build_optimizer
from clipwright.training.recipe import TrainingRecipe
from clipwright.training.step import DeviceBatch, text_features, train_step

RECIPE = TrainingRecipe(steps=10, batch_size=8, learning_rate=1e-2, warmup_steps=0, precision="fp32")
CONTEXT = 12


def model(scores: Any = "softmax", **text: Any) -> DualEncoder:
    torch.manual_seed(0)
    vision = ResNetConfig(image_size=32, width=8, stage_blocks=(1, 1, 1, 1), heads=4)
    tower = TextTransformerConfig(
        context_length=CONTEXT, vocab_size=100, width=32, layers=2, heads=2, mlp_width=64, **text
    )
    return DualEncoder(ModelConfig(embed_dim=16, vision=vision, text=tower, scores=scores))


def batch(count: int) -> DeviceBatch:
    """Random pictures and texts of 3 to 12 tokens, padded with 0 to the context."""
    random = torch.Generator().manual_seed(0)
    ends = torch.arange(count) % (CONTEXT - 2) + 2
    tokens = torch.randint(1, 100, (count, CONTEXT), generator=random)
    tokens[torch.arange(CONTEXT) > ends[:, None]] = 0
    return DeviceBatch(torch.randn(count, 3, 32, 32, generator=random), tokens, ends, torch.eye(count).bool())


@pytest.mark.parametrize("text", [{}, {"causal": False}, {"pool": "last"}, {"causal": False, "pool": "last"}], ids=str)
def test_a_text_has_the_same_features_in_every_batch(text: dict[str, Any]) -> None:
    towers, texts = model(**text), batch(9)
    together = text_features(towers, texts.tokens, texts.ends)
    alone = torch.cat(
        [text_features(towers, row[None], end[None]) for row, end in zip(texts.tokens, texts.ends, strict=True)]
    )
    inference = towers.text_features(texts.tokens, texts.ends)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together, inference, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("count", [2, 3, 5, 7])
@pytest.mark.parametrize("scores", ["softmax", "sigmoid"])
def test_a_batch_of_any_size_is_trained_on(scores: str, count: int) -> None:
    trained = model(scores)
    optimizer = build_optimizer(trained, RECIPE)
    losses = [train_step(trained, optimizer, batch(count), 1e-2, RECIPE).loss for _ in range(5)]
    assert losses[-1] < losses[0]


def test_a_sigmoid_model_begins_as_its_paper_says_and_learns_scale_and_bias() -> None:
    """Zhai et al. 2023, §3.2: t' = log 10 and b = -10."""
    trained = model("sigmoid")
    optimizer = build_optimizer(trained, RECIPE)
    first, *_, last = [train_step(trained, optimizer, batch(8), 1e-2, RECIPE) for _ in range(5)]
    assert first.scale == pytest.approx(10)
    assert first.bias == -10
    assert last.bias is not None
    assert last.bias > -10
    assert last.scale != pytest.approx(10)
    assert first.loss == pytest.approx(10, abs=3)  # -log sigmoid(-10) for each own caption, and next to nothing else


def test_the_scale_of_a_sigmoid_model_is_not_capped() -> None:
    """Published ones have up to 118."""
    trained = model("sigmoid")
    trained.logit_scale.data.fill_(4.77)
    train_step(trained, build_optimizer(trained, RECIPE), batch(8), 1e-4, RECIPE)
    assert trained.logit_scale.item() == pytest.approx(4.77, abs=1e-3)
