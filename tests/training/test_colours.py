"""Colours change as drawn, together for a batch, and normalised pixels come out."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch

from clipwright.inputs.input_spec import InputSpec
from clipwright.inputs.preprocess import normalise
from clipwright.training.colours import draw_colour_factors, to_pixels
from clipwright.training.recipe import AugmentRecipe

RAW = InputSpec(
    image_size=32,
    context_length=8,
    start_id=1,
    end_id=2,
    pad_id=0,
    mean=(0.0, 0.0, 0.0),
    std=(1 / 255, 1 / 255, 1 / 255),
)
"""Leaves values as they are."""


def random_squares(count: int = 2, side: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(60, 180, (count, side, side, 3), dtype=np.uint8)


def change(squares: np.ndarray, *factors: float) -> np.ndarray:
    """(B, S, S, 3) float, the same factors for all."""
    rows = torch.tensor(factors).repeat(len(squares), 1)
    return to_pixels(torch.from_numpy(squares), rows, RAW).permute(0, 2, 3, 1).numpy()


def test_without_a_change_pixels_are_those_of_inference() -> None:
    spec = InputSpec(image_size=4, context_length=8, start_id=1, end_id=2, pad_id=0)
    pixels = to_pixels(torch.from_numpy(random_squares()), torch.ones(2, 6), spec)
    np.testing.assert_allclose(pixels.numpy(), normalise(random_squares(), spec), atol=1e-6)
    assert pixels.is_contiguous(memory_format=torch.channels_last)


def test_brightness_scales_every_value() -> None:
    np.testing.assert_allclose(change(random_squares(), 1.25, 1, 1, 1, 1, 1), 1.25 * random_squares(), rtol=1e-5)


def test_contrast_spreads_round_the_mean_grey_of_each_picture() -> None:
    squares = random_squares()
    grey = (squares @ np.array([0.299, 0.587, 0.114])).mean(axis=(1, 2)).reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(change(squares, 1, 0.5, 1, 1, 1, 1), grey + 0.5 * (squares - grey), rtol=1e-5)


def test_without_saturation_a_picture_is_grey_and_keeps_its_lightness() -> None:
    changed = change(random_squares(), 1, 1, 0, 1, 1, 1)
    np.testing.assert_allclose(changed[..., 0], changed[..., 2], rtol=1e-5)
    np.testing.assert_allclose(changed[..., 0], random_squares() @ np.array([0.299, 0.587, 0.114]), rtol=1e-5)


def test_a_tint_moves_the_hue() -> None:
    orange = np.full((1, 2, 2, 3), (200, 120, 40), np.uint8)
    before, after = (colorsys.rgb_to_hsv(*x[0, 0, 0] / 255)[0] for x in (orange, change(orange, 1, 1, 1, 0.8, 1.2, 1)))
    assert after - before > 0.05


def test_values_stay_between_black_and_white() -> None:
    changed = change(random_squares(), 1.9, 1.9, 1.9, 1, 1, 1)
    assert changed.min() >= 0
    assert changed.max() <= 255


@pytest.mark.parametrize(("colour", "tint"), [(0.2, 0.0), (0.0, 0.1), (0.4, 0.3), (0.0, 0.0)])
def test_factors_are_drawn_within_bounds(colour: float, tint: float) -> None:
    recipe = AugmentRecipe(colour=colour, tint=tint)
    drawn = np.stack([draw_colour_factors(recipe, np.random.default_rng(seed)) for seed in range(60)]) - 1
    for part, bound in ((drawn[:, :3], colour), (drawn[:, 3:], tint)):
        assert np.abs(part).max() <= bound + 1e-6
        assert np.abs(part).max() >= 0.9 * bound
