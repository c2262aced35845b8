"""From the name of a model to its checkpoint."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.model_file import load_model
from clipwright.errors import UnknownModelError, suggestion

STARTER = "starter"
NAMES = (STARTER,)


def load_checkpoint(name: str | Path) -> Checkpoint:
    """The model called name: 'starter', or the path of a model file, or of a folder that holds one.

    Raises UnknownModelError, with the nearest names, where there is no such model.
    """
    path = starter_path() if name == STARTER else Path(name)
    if path.is_dir():
        path = path / "model.safetensors"
    if not path.is_file():
        near = suggestion(str(name), NAMES) or f"; known: {', '.join(NAMES)}, or the path of a model file"
        raise UnknownModelError(f"no model {str(name)!r}{near}")
    return load_model(path)


def starter_path() -> Path:
    """The starter's file inside the package."""
    return Path(str(resources.files("clipwright") / "starter" / "model.safetensors"))
