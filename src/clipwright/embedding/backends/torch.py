"""The towers on torch, in float32."""

from __future__ import annotations

import numpy as np
import torch

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.model.dual_encoder import DualEncoder
from clipwright.model.weights import build_model


class TorchBackend:
    """Runs a DualEncoder where its weights lie. It is left in the mode (training or not) that it came in."""

    def __init__(self, model: DualEncoder) -> None:
        self._model = model
        self._device = model.logit_scale.device

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, threads: int | None = None) -> TorchBackend:
        """threads is set for torch in the whole process; None leaves it as it is."""
        if threads is not None:
            torch.set_num_threads(threads)
        model = build_model(checkpoint.config, checkpoint.weights)
        return cls(model.to(memory_format=torch.channels_last))  # type: ignore[call-overload]

    def image_features(self, pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            features = self._model.image_features(torch.from_numpy(pixels).to(self._device))
        return features.float().cpu().numpy()

    def text_features(self, ids: np.ndarray, ends: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            tokens, places = torch.from_numpy(ids).to(self._device), torch.from_numpy(ends).to(self._device)
            features = self._model.text_features(tokens, places)
        return features.float().cpu().numpy()
