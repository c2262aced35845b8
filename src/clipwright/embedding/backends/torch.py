"""The towers on torch: for CUDA, and while training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.embedding.backend import BackendName, Precision
from clipwright.errors import ClipwrightError
from clipwright.model.dual_encoder import DualEncoder
from clipwright.model.weights import build_model

_DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


def has_cuda() -> bool:
    return torch.cuda.is_available()


class TorchBackend:
    """Runs a DualEncoder where its weights lie, as they are. It stays in the mode (training or not) that it came in."""

    name: BackendName = "torch"

    def __init__(self, model: DualEncoder, *, compiled: bool = False) -> None:
        """compiled: through torch.compile, which takes a minute at first and pays in long runs on a GPU."""
        self._dtype = model.logit_scale.dtype
        self.precision: Precision = "bf16" if self._dtype == torch.bfloat16 else "fp32"
        self._device = model.logit_scale.device
        self._image: Any = torch.compile(model.image_features) if compiled else model.image_features
        self._text: Any = torch.compile(model.text_features, dynamic=True) if compiled else model.text_features

    @classmethod
    def from_checkpoint(
        cls,
        checkpoint: Checkpoint,
        threads: int | None = None,
        precision: Precision = "fp32",
        *,
        device: str | None = None,
        compiled: bool = False,
    ) -> TorchBackend:
        """device: the first GPU where there is one, else the processor. threads is set for torch in the whole process;
        None leaves it as it is."""
        if precision not in _DTYPES:
            raise ClipwrightError(f"torch computes nothing in {precision} here; --backend onnx or openvino does")
        if threads is not None:
            torch.set_num_threads(threads)
        model = build_model(checkpoint.config, checkpoint.weights)
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        model.to(place, _DTYPES[precision])
        return cls(model.to(memory_format=torch.channels_last), compiled=compiled)  # type: ignore[call-overload]  # not in its stubs

    def image_features(self, pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            features = self._image(torch.from_numpy(pixels).to(self._device, self._dtype))
        return np.asarray(features.float().cpu().numpy())

    def text_features(self, ids: np.ndarray, ends: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            tokens, places = torch.from_numpy(ids).to(self._device), torch.from_numpy(ends).to(self._device)
            features = self._text(tokens, places)
        return np.asarray(features.float().cpu().numpy())


def matrix_product(size: int, precision: Precision, threads: int | None, *, gpu: bool) -> Callable[[], None] | None:
    """A function that multiplies two matrices of size x size; None: torch has no such product in this precision."""
    if precision not in _DTYPES:
        return None
    if threads is not None:
        torch.set_num_threads(threads)
    place, dtype = torch.device("cuda" if gpu else "cpu"), _DTYPES[precision]
    a, b = (torch.randn(size, size, device=place).to(dtype) for _ in range(2))
    out = torch.empty_like(a)

    def multiply() -> None:
        torch.mm(a, b, out=out)
        if gpu:
            torch.cuda.synchronize()

    return multiply
