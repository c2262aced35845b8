"""From the name of a model to its checkpoint."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.model_file import load_model
from clipwright.errors import CheckpointError, UnknownModelError, suggestion

STARTER = "starter"
NAMES = (STARTER,)
MODEL_FILE = "model.safetensors"
"""How the model file in a folder is called."""


def load_checkpoint(name: str | Path) -> Checkpoint:
    """The model called name: 'starter', or the path of a model file, or of a folder that holds one.

    Raises UnknownModelError, with the nearest names, where there is no such model.
    """
    return load_model(model_path(name))


def model_path(name: str | Path) -> Path:
    """Where the file of a model lies. Raises UnknownModelError, with the nearest names, where there is none."""
    path = Path(str(resources.files("clipwright") / "starter")) if name == STARTER else Path(name)
    if path.is_dir():
        path = path / MODEL_FILE
    if name == STARTER and not path.is_file():
        raise CheckpointError(
            f"this installation lacks the starter's weights at {str(path)!r}; install clipwright again"
        )
    if not path.is_file():
        near = suggestion(str(name), NAMES) or f"; known: {', '.join(NAMES)}, or the path of a model file"
        raise UnknownModelError(f"no model {str(name)!r}{near}")
    return path
