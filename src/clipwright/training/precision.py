"""In which precision a step is faster on this machine: measured, where a recipe leaves it open.

No list of processors tells it: some have units for bfloat16, some compute it a third as fast as fp32, and in small
models most of a step is neither.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, get_args

import torch

from clipwright.model.config import ModelConfig, ResNetConfig, VisionConfig
from clipwright.model.dual_encoder import DualEncoder
from clipwright.training.recipe import TrainingRecipe
from clipwright.training.step import DeviceBatch, backward

Precision = Literal["bf16", "fp32"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
_MARGIN = 0.9
"""bf16 has to take less than this share of fp32's time, so that chance does not choose where they are equal."""
_FEW, _MORE = 4, 16
"""Pairs in measured steps. Two numbers tell apart what a step costs once, as converting the weights to bfloat16, from
what each pair costs; so the time of a large batch follows from that of small ones."""
_CAPTION = 16
"""Tokens of a measured text, or the whole context where padding counts."""
_VOCABULARY = 512
"""Of a measured tower: the table of tokens is looked up and not computed with."""
_ROUNDS, _SECONDS = 4, 1.0
"""Rounds at most; after two of them none begins when so much time has passed."""


def measure_precisions(config: ModelConfig, recipe: TrainingRecipe, device: torch.device) -> dict[Precision, float]:
    """Seconds of a step forward and backward in each precision, by the least of some rounds.

    On made pairs, and with one block of each tower or stage: more of the same would only take longer.
    """
    shallow = _with_one_block(config)
    model = to_training_memory(DualEncoder(shallow), device)
    batches = [_made_batch(shallow, min(count, recipe.batch_size), device) for count in (_FEW, _MORE)]
    best = {precision: [float("inf")] * len(batches) for precision in PRECISIONS}
    begun = time.perf_counter()
    for done in range(_ROUNDS):
        if done > 1 and time.perf_counter() - begun > _SECONDS:
            break
        for precision in PRECISIONS:
            settings = replace(recipe, precision=precision)
            now = [_step_seconds(model, batch, settings) for batch in batches]
            best[precision] = [min(pair) for pair in zip(best[precision], now, strict=True)]
    return {precision: _at_size(recipe.batch_size, *seconds) for precision, seconds in best.items()}


def _at_size(batch_size: int, few: float, more: float) -> float:
    """The seconds of a batch of this size, where those of the measured sizes lie on a line."""
    return more + max(0.0, more - few) / (_MORE - _FEW) * max(0, batch_size - _MORE)


def faster(seconds: Mapping[Precision, float]) -> Precision:
    """bf16 where it saves time that is worth its rounding, else fp32."""
    return "bf16" if seconds["bf16"] < _MARGIN * seconds["fp32"] else "fp32"


def to_training_memory(model: DualEncoder, device: torch.device) -> DualEncoder:
    """The model on the device, in the memory layout in which convolutions are fastest."""
    return model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _with_one_block(config: ModelConfig) -> ModelConfig:
    vision: VisionConfig
    if isinstance(config.vision, ResNetConfig):
        vision = replace(config.vision, stage_blocks=(1, 1, 1, 1))
    else:
        vision = replace(config.vision, layers=1)
    return replace(config, vision=vision, text=replace(config.text, layers=1, vocab_size=_VOCABULARY))


def _step_seconds(model: DualEncoder, batch: DeviceBatch, recipe: TrainingRecipe) -> float:
    begun = time.perf_counter()
    model.zero_grad(set_to_none=True)
    backward(model, batch, recipe).item()  # the number waits for a GPU
    return time.perf_counter() - begun


def _made_batch(config: ModelConfig, count: int, device: torch.device) -> DeviceBatch:
    side, text = config.vision.image_size, config.text
    length = text.context_length if text.sees_padding else min(text.context_length, _CAPTION)
    return DeviceBatch(
        pixels=torch.randn(count, 3, side, side, device=device).to(memory_format=torch.channels_last),
        tokens=torch.randint(text.vocab_size, (count, length), device=device),
        ends=torch.full((count,), length - 1, device=device),
        matches=torch.eye(count, dtype=torch.bool, device=device),
    )
