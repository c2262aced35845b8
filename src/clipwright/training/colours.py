"""Changing the colours of training pictures: drawn for each picture, applied to a whole batch on the training device.

A change of brightness, contrast, saturation and tint is one matrix and one shift for all pixels of a picture, so it
costs the step little; applied picture by picture it was a third of what the input cost.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from clipwright.inputs.input_spec import InputSpec
from clipwright.training.recipe import AugmentRecipe

_LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in the grey of a pixel (ITU-R BT.601)."""


def draw_colour_factors(recipe: AugmentRecipe, random: np.random.Generator) -> np.ndarray:
    """(6,) float32 factors round 1: of brightness, contrast, saturation, and of red, green and blue."""
    strengths = np.array([recipe.colour] * 3 + [recipe.tint] * 3, np.float32)
    return 1 + strengths * random.uniform(-1, 1, 6).astype(np.float32)


def to_pixels(squares: Tensor, factors: Tensor, spec: InputSpec) -> Tensor:
    """squares (B, S, S, 3) uint8 to normalised pixels (B, 3, S, S) float32 that lie channels last.

    factors: (B, 6), of draw_colour_factors. Saturation is scaled round the grey of each pixel, contrast round the
    mean grey of the picture; what leaves 0 to 255 is clipped.
    """
    batch, side = squares.shape[:2]
    values = squares.reshape(batch, side * side, 3).float()
    if not bool((factors == 1).all()):
        matrix, shift = _affine(values, factors)
        values = torch.baddbmm(shift, values, matrix).clamp_(0, 255)
    mean, std = (torch.tensor(numbers, device=values.device) for numbers in (spec.mean, spec.std))
    values = values.sub_(255 * mean).div_(255 * std)
    return values.reshape(batch, side, side, 3).permute(0, 3, 1, 2)


def _affine(values: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
    """The matrices (B, 3, 3) and shifts (B, 1, 3) of the changes: a pixel x, as a row, becomes x @ matrix + shift."""
    brightness, contrast, saturation = factors[:, :3].reshape(-1, 3, 1, 1).unbind(1)
    gains = brightness * factors[:, None, 3:]
    luma = torch.tensor(_LUMA, device=values.device)
    to_grey = luma[:, None].expand(3, 3)
    identity = torch.eye(3, device=values.device)
    matrix = contrast * (saturation * identity + (1 - saturation) * to_grey) * gains
    mean_grey = (values.mean(dim=1) @ luma)[:, None, None]
    return matrix, (1 - contrast) * mean_grey * gains
