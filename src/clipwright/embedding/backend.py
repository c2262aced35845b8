"""What runs the towers. One file a runtime; all take and give NumPy arrays."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Backend(Protocol):
    """Runs both towers of one model. Features are not of unit length."""

    def image_features(self, pixels: np.ndarray, /) -> np.ndarray:
        """pixels (B, 3, S, S) float32, normalised, to (B, D) float32."""

    def text_features(self, ids: np.ndarray, ends: np.ndarray, /) -> np.ndarray:
        """ids (B, L) int64 and ends (B,) int64, where each text ends, to (B, D) float32."""
