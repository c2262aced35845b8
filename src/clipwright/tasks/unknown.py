"""The answer 'none of these': a label must stand out from what general captions score on the same picture."""

from __future__ import annotations

import numpy as np

from clipwright.tasks.zero_shot import similarity_matrix

UNKNOWN = "none of these"
CUT = 1.6
"""Standard deviations of the background above its mean that a label's similarity must reach.

Measured by benchmarks/unknown_cut.py on pictures held out of the starter's training; the starter's card has the rates.
"""


def unknown_similarity(images: np.ndarray, background: np.ndarray, cut: float = CUT) -> np.ndarray:
    """The similarity that a label must exceed on each picture to count: (B, 1) float32.

    images (B, D) and background (N, D) are unit embeddings. Since it is measured in the spread of the background on
    that very picture, it carries over between models, whose cosines live on different scales.
    """
    similarities = similarity_matrix(images, background)
    threshold = similarities.mean(axis=1) + cut * similarities.std(axis=1)
    return np.asarray(threshold[:, None], np.float32)
