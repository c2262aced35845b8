"""The answer 'none of these': a label must stand out from what general captions score on the same picture."""

from __future__ import annotations

import numpy as np

UNKNOWN = "none of these"
CUT = 2.4
"""Standard deviations of the background above its mean that a label's similarity must reach.

Measured by benchmarks/unknown_cut.py on pictures held out of the starter's training; the starter's card has the rates.
"""


def standing(similarities: np.ndarray, background: np.ndarray) -> np.ndarray:
    """How far each similarity (B, K) stands above those of general captions (B, N) on the same picture: (B, K).

    In standard deviations of the background, so it carries over between models, whose cosines have different scales.
    """
    mean, spread = background.mean(axis=1, keepdims=True), background.std(axis=1, keepdims=True)
    return np.asarray((similarities - mean) / np.maximum(spread, np.finfo(np.float32).tiny), np.float32)


def unknown_similarity(background: np.ndarray, cut: float = CUT) -> np.ndarray:
    """The similarity (B, 1) at which a label's standing over the background's similarities (B, N) reaches the cut."""
    threshold = background.mean(axis=1) + cut * background.std(axis=1)
    return np.asarray(threshold[:, None], np.float32)
