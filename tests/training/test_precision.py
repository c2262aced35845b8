"""Where a recipe leaves the precision open, the faster one is taken."""

from __future__ import annotations

import pytest
import torch

from clipwright.model.config import (
    ModelConfig,
    ResNetConfig,
    TextTransformerConfig,
    VisionConfig,
    VisionTransformerConfig,
)
from clipwright.training import precision
from clipwright.training.precision import Precision, faster, measure_precisions
from clipwright.training.recipe import TrainingRecipe
from clipwright.training.step import DeviceBatch

RECIPE = TrainingRecipe(steps=10, batch_size=40, learning_rate=1e-3, warmup_steps=0)
CPU = torch.device("cpu")
TOWERS: list[VisionConfig] = [
    ResNetConfig(image_size=32, width=8, stage_blocks=(2, 1, 1, 1), heads=4),
    VisionTransformerConfig(image_size=32, patch_size=16, width=32, layers=3, heads=2, mlp_width=64),
]


def config(vision: VisionConfig, causal: bool = True) -> ModelConfig:
    text = TextTransformerConfig(
        context_length=12, vocab_size=600, width=32, layers=2, heads=2, mlp_width=64, causal=causal
    )
    return ModelConfig(embed_dim=16, vision=vision, text=text)


@pytest.mark.parametrize(
    ("bf16", "chosen"), [(0.3, "bf16"), (0.89, "bf16"), (0.91, "fp32"), (1.0, "fp32"), (3.0, "fp32")]
)
def test_bf16_is_taken_where_it_saves_a_tenth_of_the_time(bf16: float, chosen: Precision) -> None:
    assert faster({"bf16": bf16, "fp32": 1.0}) == chosen


def test_what_a_step_costs_once_counts_once_in_a_large_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Converting the weights takes bf16 five seconds here, and each pair a third of fp32's time."""

    def seconds(model: object, batch: DeviceBatch, recipe: TrainingRecipe) -> float:
        pairs = len(batch.tokens)
        return 5.0 + pairs / 3 if recipe.precision == "bf16" else float(pairs)

    monkeypatch.setattr(precision, "_step_seconds", seconds)
    measured = measure_precisions(config(TOWERS[0]), RECIPE, CPU)
    assert measured == {"bf16": pytest.approx(5 + 40 / 3), "fp32": pytest.approx(40)}


@pytest.mark.parametrize("batch_size", [2, 5, 40])
@pytest.mark.parametrize("vision", TOWERS, ids=["resnet", "vit"])
def test_steps_of_every_kind_of_tower_are_measured(vision: VisionConfig, batch_size: int) -> None:
    recipe = TrainingRecipe(steps=10, batch_size=batch_size, learning_rate=1e-3, warmup_steps=0)
    measured = measure_precisions(config(vision, causal=False), recipe, CPU)
    assert min(measured.values()) > 0
