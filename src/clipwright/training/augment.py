"""Varying what a training picture shows: one crop, one resize and a mirror."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from clipwright.inputs.input_spec import InputSpec
from clipwright.inputs.preprocess import FILTERS
from clipwright.training.recipe import AugmentRecipe


def augment(
    image: Image.Image,
    size: int,
    recipe: AugmentRecipe,
    squeezed_from: Sequence[float],
    random: np.random.Generator,
    spec: InputSpec,
) -> np.ndarray:
    """A random view of the picture, (size, size, 3) uint8, resized as the model's spec says.

    Where pictures were squeezed into squares, squeezed_from holds the shapes (width by height) that they may have had.
    One is drawn and the crop is taken in that shape, so that what is in it stands at its true width and height; but not
    for a model that sees every picture squeezed. Crops as Szegedy et al. 2015, §6.
    """
    shape = image.width / image.height
    if squeezed_from:
        shape = squeezed_from[int(random.integers(len(squeezed_from)))]
    box = _crop_box(image.size, 1.0 if spec.resize == "squash" else shape, recipe, random)
    view = image.resize((size, size), FILTERS[spec.interpolation], box=box)
    if random.random() < recipe.flip:
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(view)


def _crop_box(
    size: tuple[int, int], shape: float, recipe: AugmentRecipe, random: np.random.Generator
) -> tuple[float, float, float, float]:
    """left, top, right, bottom of the crop in a picture of this size, whose true width by height is shape."""
    width, height = size
    area = random.uniform(*recipe.area)
    aspect = math.exp(random.uniform(math.log(recipe.aspect[0]), math.log(recipe.aspect[1])))
    across, down = math.sqrt(area * aspect / shape), math.sqrt(area * shape / aspect)  # in sides of the picture
    largest = max(across, down, 1.0)  # a crop that would stick out is made smaller: its aspect is what counts
    across, down = across / largest, down / largest
    left, top = random.random() * (1 - across) * width, random.random() * (1 - down) * height
    return left, top, left + across * width, top + down * height
