"""Between a DualEncoder and weights as arrays. The names are the module's own."""

from __future__ import annotations

import math
import mmap
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from clipwright.model.config import ModelConfig
from clipwright.model.dual_encoder import DualEncoder
from clipwright.model.shapes import check_shapes

_COUNTER = "num_batches_tracked"
"""BatchNorm's counter of batches: of no use with a fixed momentum, so it is no weight."""


def weights_of(model: DualEncoder) -> dict[str, np.ndarray]:
    """Every weight of the model as a float32 array, under its name in the module."""
    return {
        name: tensor.detach().to("cpu", torch.float32).contiguous().numpy()
        for name, tensor in model.state_dict().items()
        if not name.endswith(_COUNTER)
    }


def build_model(config: ModelConfig, weights: Mapping[str, Any]) -> DualEncoder:
    """A DualEncoder in float32 with these weights, ready for inference. Arrays, or what np.asarray makes one of.

    Raises CheckpointError naming the weights that are missing, unknown or of another shape.
    """
    check_shapes(config, {name: array.shape for name, array in weights.items()})
    with torch.device("meta"):
        model = DualEncoder(config)
    # The largest first: then at no time is there much beside the model itself.
    ordered = sorted(weights.items(), key=lambda item: -math.prod(item[1].shape))
    tensors = {name: torch.from_numpy(_copied(array)) for name, array in ordered}
    counters = {name: torch.zeros((), dtype=torch.int64) for name in model.state_dict() if name.endswith(_COUNTER)}
    model.load_state_dict(tensors | counters, assign=True)
    return model.eval()


def _copied(array: Any) -> np.ndarray:
    """A copy as float32. Pages of a memory-mapped file that were read for it leave the memory again."""
    copy = np.array(array, np.float32)
    for part in getattr(array, "parts", (array,)):
        base = part
        while isinstance(base, np.ndarray):
            base = base.base
        if isinstance(base, mmap.mmap) and hasattr(base, "madvise"):
            base.madvise(mmap.MADV_DONTNEED)
    return copy
