"""Augmented views show what a picture shows, at its true proportions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from clipwright.inputs.input_spec import InputSpec
from clipwright.training.augment import augment
from clipwright.training.recipe import AugmentRecipe

PLAIN = AugmentRecipe(area=(1.0, 1.0), aspect=(1.0, 1.0), flip=0.0)
SPEC = InputSpec(image_size=32, context_length=12, start_id=0, end_id=1, pad_id=0)


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def ramp(width: int, height: int) -> Image.Image:
    """Red grows from left to right, green from top to bottom."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.dstack([x, y, np.zeros_like(x)]).astype(np.uint8))


def span(view: np.ndarray, channel: int) -> float:
    """How much of the ramp a view shows along an axis, as a share."""
    line = view[:, :, channel].astype(float).mean(axis=0 if channel == 0 else 1)
    return float(abs(line[-1] - line[0]) / 255)


def test_the_same_random_numbers_give_the_same_view() -> None:
    recipe = AugmentRecipe()
    views = [augment(ramp(64, 64), 32, recipe, (1.0, 1.5), random(3), SPEC) for _ in range(2)]
    assert np.array_equal(views[0], views[1])
    assert not np.array_equal(views[0], augment(ramp(64, 64), 32, recipe, (1.0, 1.5), random(4), SPEC))


def test_with_nothing_to_vary_the_view_is_the_resized_picture() -> None:
    view = augment(ramp(64, 64), 32, PLAIN, (), random(), SPEC)
    assert np.array_equal(view, np.asarray(ramp(64, 64).resize((32, 32), Image.Resampling.BICUBIC)))


def test_a_square_crop_of_a_wide_picture_is_square() -> None:
    view = augment(ramp(120, 60), 32, PLAIN, (), random(), SPEC)
    assert span(view, 0) == pytest.approx(0.5, abs=0.05)
    assert span(view, 1) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("before", [1.5, 0.75])
def test_a_squeezed_picture_is_stretched_back(before: float) -> None:
    """A 3:2 photograph squeezed into a square: a true square of it is two thirds as wide as it is high."""
    view = augment(ramp(60, 60), 32, PLAIN, (before,), random(), SPEC)
    assert span(view, 0) / span(view, 1) == pytest.approx(1 / before, rel=0.06)


def test_a_crop_never_leaves_the_picture_and_keeps_its_aspect() -> None:
    recipe = AugmentRecipe(area=(0.2, 1.0), aspect=(1.25, 1.25), flip=0.0)
    for seed in range(50):
        view = augment(ramp(90, 60), 32, recipe, (), random(seed), SPEC)
        wide, high = span(view, 0) * 90, span(view, 1) * 60
        assert wide / high == pytest.approx(1.25, rel=0.12)


def test_a_mirrored_view_runs_from_right_to_left() -> None:
    view = augment(ramp(64, 64), 32, AugmentRecipe(area=(1, 1), aspect=(1, 1), flip=1.0), (), random(), SPEC)
    assert view[0, 0, 0] > view[0, -1, 0]


def test_a_view_is_resized_by_the_models_own_interpolation() -> None:
    view = augment(ramp(64, 64), 32, PLAIN, (), random(), replace(SPEC, interpolation="bilinear"))
    assert np.array_equal(view, np.asarray(ramp(64, 64).resize((32, 32), Image.Resampling.BILINEAR)))


@pytest.mark.parametrize("squeezed_from", [(), (1.5,)])
def test_a_model_that_squeezes_pictures_is_trained_on_squeezed_ones(squeezed_from: tuple[float, ...]) -> None:
    view = augment(ramp(120, 60), 32, PLAIN, squeezed_from, random(), replace(SPEC, resize="squash"))
    assert np.array_equal(view, np.asarray(ramp(120, 60).resize((32, 32), Image.Resampling.BICUBIC)))
