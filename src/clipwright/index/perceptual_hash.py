"""A fingerprint of how a picture looks: 64 bits of which near-identical pictures differ in few.

The signs of the lowest frequencies of a small grey copy, as in C. Zauner, "Implementation and Benchmarking of
Perceptual Image Hash Functions", 2010, section 3.1, with two differences. The frequencies are those nearest to zero
instead of a square of 8 x 8, because the lowest ones survive cropping best. A bit is set by a value above a small
margin instead of above the median, so that what a flat picture has no say in is 0 and never noise.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

SIDE = 32
"""Of the grey copy, whatever the picture's size and aspect."""
MARGIN = 2.0
"""What a frequency must reach for its bit: a wave of a quarter of a grey level; rounding alone makes 0.15."""


def _lowest_frequencies(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the frequencies nearest to zero, without zero itself, nearest first."""
    pairs = [(row, column) for row in range(SIDE) for column in range(SIDE) if row + column]
    nearest = sorted(pairs, key=lambda pair: (pair[0] ** 2 + pair[1] ** 2, pair))[:count]
    rows, columns = np.array(nearest).T
    return rows, columns


_ROWS, _COLUMNS = _lowest_frequencies(64)
_WAVES = np.cos(np.pi / SIDE * np.outer(np.arange(_ROWS.max() + 1), np.arange(SIDE) + 0.5)).astype(np.float32)
"""(frequencies, SIDE): the basis of the discrete cosine transform (type II)."""


def perceptual_hash(image: Image.Image) -> int:
    """64 bits as an integer, 0 to 2^64 - 1; the Hamming distance of two tells how alike two pictures look.

    image is opened and upright, of any size. Unrelated photographs differ in about 32 bits, a re-encoded or resized
    one in 0 to 3. A picture without any structure has the hash 0, and one with little has few bits set.
    """
    small = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0).convert("L")
    grey = np.asarray(small, np.float32)
    frequencies = _WAVES @ grey @ _WAVES.T / SIDE
    bits = np.packbits(frequencies[_ROWS, _COLUMNS] > MARGIN)
    return int.from_bytes(bits.tobytes(), "big")
