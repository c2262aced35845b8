"""Relevance: how far a picture's similarity to a query stands out, from 0 to 1, on no model's scale."""

from __future__ import annotations

import numpy as np

BACKGROUND_COLUMNS = ("mean", "standard deviation")
"""What is kept of each picture's similarities to the background captions, in the order of columns."""
_BLOCK_ROWS = 8192


def background_statistics(vectors: np.ndarray, background: np.ndarray) -> np.ndarray:
    """What is kept of each picture's similarities to general captions: (R, K) float32, columns BACKGROUND_COLUMNS.

    vectors (R, D) are pictures and background (B, D) captions, unit rows, both of any float type.
    """
    captions = np.asarray(background, np.float32).T
    statistics = np.empty((len(vectors), len(BACKGROUND_COLUMNS)), np.float32)
    for start in range(0, len(vectors), _BLOCK_ROWS):
        similarities = np.asarray(vectors[start : start + _BLOCK_ROWS], np.float32) @ captions
        rows = statistics[start : start + _BLOCK_ROWS]
        rows[:, 0], rows[:, 1] = similarities.mean(axis=1), similarities.std(axis=1)
    return statistics
