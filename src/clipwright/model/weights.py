"""Between a DualEncoder and weights as arrays. The names are the module's own."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from clipwright.errors import CheckpointError
from clipwright.model.config import ModelConfig
from clipwright.model.dual_encoder import DualEncoder

_COUNTER = "num_batches_tracked"
"""BatchNorm's counter of batches: of no use with a fixed momentum, so it is no weight."""


def weights_of(model: DualEncoder) -> dict[str, np.ndarray]:
    """Every weight of the model as a float32 array, under its name in the module."""
    return {
        name: tensor.detach().to("cpu", torch.float32).contiguous().numpy()
        for name, tensor in model.state_dict().items()
        if not name.endswith(_COUNTER)
    }


def build_model(config: ModelConfig, weights: Mapping[str, np.ndarray]) -> DualEncoder:
    """A DualEncoder in float32 with these weights, ready for inference.

    Raises CheckpointError naming the weights that are missing, unknown or of another shape.
    """
    with torch.device("meta"):
        model = DualEncoder(config)
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if not name.endswith(_COUNTER)}
    problems = [f"{name} is missing" for name in expected if name not in weights]
    problems += [f"{name} is unknown" for name in weights if name not in expected]
    problems += [
        f"{name} has shape {weights[name].shape} instead of {shape}"
        for name, shape in expected.items()
        if name in weights and weights[name].shape != shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise CheckpointError(f"the weights do not fit their config: {'; '.join(problems[:3])}{more}")
    model = model.to_empty(device="cpu")
    tensors = {name: torch.from_numpy(np.array(weights[name], np.float32)) for name in expected}
    model.load_state_dict(tensors, strict=False)
    for name, buffer in model.named_buffers():
        if name.endswith(_COUNTER):
            buffer.zero_()
    return model.eval()
