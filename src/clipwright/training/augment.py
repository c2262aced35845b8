"""Varying a training picture: one crop, one resize, a mirror and a change of colours."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageEnhance

from clipwright.training.recipe import AugmentRecipe


def augment(image: Image.Image, size: int, recipe: AugmentRecipe, random: np.random.Generator) -> np.ndarray:
    """A random view of the picture, (size, size, 3) uint8.

    Where pictures were squeezed into squares, a shape that this one may have had is drawn first and the crop is taken
    in that shape, so that what is in it stands at its true width and height. Crops as Szegedy et al. 2015, §6.
    """
    box = _crop_box(image.size, recipe, random)
    view = image.resize((size, size), Image.Resampling.BICUBIC, box=box)
    if random.random() < recipe.flip:
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if recipe.colour:
        low, high = 1 - recipe.colour, 1 + recipe.colour
        for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            view = enhancer(view).enhance(random.uniform(low, high))
    return np.asarray(view)


def _crop_box(
    size: tuple[int, int], recipe: AugmentRecipe, random: np.random.Generator
) -> tuple[float, float, float, float]:
    """left, top, right, bottom of the crop, in the coordinates of the picture as it is."""
    width, height = size
    before = recipe.squeezed_from[random.integers(len(recipe.squeezed_from))]  # width by height
    area = random.uniform(*recipe.area)
    aspect = math.exp(random.uniform(math.log(recipe.aspect[0]), math.log(recipe.aspect[1])))
    # In units of the picture's own sides, after its shape was set right.
    shape = aspect / (before * width / height)
    across, down = min(1.0, math.sqrt(area * shape)), min(1.0, math.sqrt(area / shape))
    left, top = random.random() * (1 - across) * width, random.random() * (1 - down) * height
    return left, top, left + across * width, top + down * height
