"""Photographs and captions to measure speed with, made here: their size and detail count, not what they show."""

from __future__ import annotations

import functools
import io

import numpy as np
from PIL import Image

CAPTIONS = (
    "A woman in a green coat waits at the tram stop with two paper bags.",
    "Three children are building a castle of sand near the water.",
    "A brown dog shakes itself dry on the bank of a river.",
    "An old man repairs a bicycle in front of his shop while a cat watches him.",
    "Two cyclists ride up a narrow mountain road in thick fog.",
    "The cook lifts the lid of a steaming pot.",
    "A boy with a red cap throws a ball high into the air.",
    "Several people sit on the steps of a library and eat their lunch in the sun.",
    "A goalkeeper stretches to reach the ball during an evening game.",
    "A black horse gallops through shallow water along the beach.",
    "Two musicians play the violin on a crowded square.",
    "A girl holds an umbrella over her little brother, who is looking at a snail.",
    "A climber hangs from a rope below an overhanging cliff.",
    "White sheep graze on a hillside behind a stone wall.",
    "A man in a suit runs to catch a bus that is just leaving.",
    "A couple dances in the kitchen at night.",
)
"""A batch as users and data sets have it: one sentence each, 8 to 16 words."""

SMALL_SIZE = (500, 375)
"""Of a usual photograph of ImageNet."""
LARGE_SIZE = (4000, 3000)
"""12 megapixels, as a telephone takes them."""


@functools.cache
def photograph(size: tuple[int, int]) -> bytes:
    """A JPEG of this size, the same each time. One of any size shows SMALL_SIZE of detail again and again, mirrored."""
    across, down = (-(-side // small) for side, small in zip(size, SMALL_SIZE, strict=True))
    tile = _texture()
    row = np.concatenate([tile[:, :: (-1) ** i] for i in range(across)], axis=1)
    whole = np.concatenate([row[:: (-1) ** i] for i in range(down)])[: size[1], : size[0]]
    file = io.BytesIO()
    Image.fromarray(whole).save(file, "JPEG", quality=90)
    return file.getvalue()


def _texture() -> np.ndarray:
    """(H, W, 3) uint8 of SMALL_SIZE: random blots, their contrast in proportion to their width, as in photographs."""
    random = np.random.default_rng(0)
    width, height = SMALL_SIZE
    total = np.full((height, width, 3), 128, np.float32)
    for exponent in range(8):
        grid = random.normal(0, 1, (-(-height // 2**exponent) + 1, -(-width // 2**exponent) + 1, 3)).astype(np.float32)
        grid = 0.7 * grid.mean(axis=2, keepdims=True) * 3**0.5 + 0.3 * grid  # light varies more than colour
        layers = [
            np.asarray(Image.fromarray(grid[:, :, channel]).resize(SMALL_SIZE, Image.Resampling.BICUBIC))
            for channel in range(3)
        ]
        total += np.stack(layers, axis=2) * 4 * 2 ** (exponent / 2)
    return np.asarray(total.clip(0, 255), np.uint8)
