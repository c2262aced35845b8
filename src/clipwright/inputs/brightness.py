"""Numbers wider than 8 bits as brightness from 0 to 255: which number is white, and the rest in proportion."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_SAMPLES = 2**22
"""Of a large picture, about as many decide which number is white."""
_AT_ONCE = 2**18
_NO_BRIGHTNESS = 1e15
"""From here on a float is as good as infinite: nobody measures so much light, but many mark holes so."""
_NEARLY_ALL, _MOST = 0.999, 0.95
_A_LITTLE = 16
"""How many times a scale numbers may reach that are meant by it, as bright lights are: the next would be darkness."""


def white_level(channels: Sequence[np.ndarray], bits: int | None = None) -> float:
    """The number that is white in the channels (H, W) of one picture, all of one type.

    Integers of up to 16 bits: the largest that they can hold. Wider ones and floats say nowhere what they mean: it is
    the first of the usual scales (1 for floats, 255 for floats, 65,535) that holds most of the picture's numbers, and
    what lies beyond is white; where none does, or one is only exceeded a little, the largest number, or the largest
    possible one where the numbers reach at least half of it. bits: of which the numbers are, where they lie in a wider
    type.
    """
    dtype = channels[0].dtype
    bits = bits or 8 * dtype.itemsize
    full = math.inf if dtype.kind == "f" else 2.0 ** (bits if dtype.kind == "u" else bits - 1) - 1
    if bits <= 16 and dtype.kind != "f":
        return full
    scales = (1.0, 255.0, 65535.0) if dtype.kind == "f" else (65535.0,)
    step = math.isqrt(sum(channel.size for channel in channels) // _SAMPLES) + 1
    seen = np.concatenate([channel[::step, ::step].ravel() for channel in channels]).astype(np.float64)
    seen = seen[np.abs(seen) < _NO_BRIGHTNESS] if dtype.kind == "f" else seen
    if not seen.size:
        return scales[0]
    ranks = [math.ceil(share * (seen.size - 1)) for share in (_NEARLY_ALL, _MOST)]
    nearly_all, most = (float(level) for level in np.partition(seen, ranks)[ranks])
    for scale in scales:
        if most <= scale:
            return scale
        if nearly_all <= _A_LITTLE * scale:
            break
    largest = float(seen[seen <= 10 * nearly_all].max())
    return full if largest > full / 2 else largest


def to_8_bits(values: np.ndarray, white: float, inverted: bool = False) -> np.ndarray:
    """(H, W, ...) uint8 of numbers of any type: 0 becomes 0 and white 255. inverted: white is 0, and white black.

    What lies beyond becomes white or black; what is no number, black.
    """
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:  # several times faster
        every = np.arange(2 ** (8 * values.dtype.itemsize), dtype=np.float32)
        return np.asarray(to_8_bits(every, white, inverted)[values])
    shown = np.empty(values.shape, np.uint8)
    rows = max(1, _AT_ONCE * len(values) // max(1, values.size))  # a large picture would take gigabytes
    for start in range(0, len(values), rows):
        part = values[start : start + rows]
        part = np.clip(part.astype(np.float64 if part.dtype.itemsize > 4 else np.float32), 0, white)
        part = (white - part if inverted else part) / white * 255
        part[np.isnan(part)] = 0
        shown[start : start + rows] = np.rint(part)
    return shown
