"""What runs the towers. One file a runtime; all take and give NumPy arrays."""

from __future__ import annotations

from typing import Literal, Protocol, get_args

import numpy as np

BackendName = Literal["onnx", "openvino", "torch"]
BACKENDS: tuple[BackendName, ...] = get_args(BackendName)
Precision = Literal["fp32", "bf16", "int8"]
"""What the towers compute in. fp32: everywhere. bf16: where processor or GPU have units for it. int8: linear layers in
integers, the rest in floats."""
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
Tower = Literal["image", "text"]


class Backend(Protocol):
    """Runs both towers of one model. Features are not of unit length. Safe to use from several threads."""

    name: BackendName

    @property
    def precision(self) -> str:
        """What it computes in: a Precision; of ready graphs what their names say, 'fp16' or 'quantized' say."""

    def image_features(self, pixels: np.ndarray, /) -> np.ndarray:
        """pixels (B, 3, S, S) float32, normalised, to (B, D) float32."""

    def text_features(self, ids: np.ndarray, ends: np.ndarray, /) -> np.ndarray:
        """ids (B, L) int64 and ends (B,) int64, where each text ends, to (B, D) float32."""
