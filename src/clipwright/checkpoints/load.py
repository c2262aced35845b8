"""From the name of a model to its checkpoint."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.folder import OUR_FILE, read_checkpoint
from clipwright.errors import CheckpointError, UnknownModelError, suggestion

STARTER = "starter"
NAMES = (STARTER,)
MODEL_FILE = OUR_FILE
"""How the model file in a folder is called."""
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


def load_checkpoint(name: str | Path) -> Checkpoint:
    """The model called name: 'starter', the path of a file or folder in any layout, or a repository of the hub.

    Raises UnknownModelError, with the nearest names, where there is no such model, and CheckpointError where its files
    are damaged or of a kind that is not read.
    """
    return read_checkpoint(model_path(name))


def model_path(name: str | Path) -> Path:
    """Where the file or folder of a model lies; a repository of the hub ('owner/name', or 'owner/name@revision') is
    downloaded where it is not in the cache yet. Raises UnknownModelError, with the nearest names, where there is none.
    """
    if name == STARTER:
        path = Path(str(resources.files("clipwright") / "starter" / MODEL_FILE))
        if not path.is_file():
            raise CheckpointError(f"this installation lacks the starter's weights at {str(path)!r}; install it again")
        return path
    path = Path(name)
    if path.exists():
        return path
    if isinstance(name, str) and _HUB_NAME.fullmatch(name):
        from clipwright.checkpoints.hub import cached_or_pulled

        return cached_or_pulled(name)
    near = suggestion(str(name), NAMES) or f"; known: {', '.join(NAMES)}, a file, a folder, or owner/name on the hub"
    raise UnknownModelError(f"no model {str(name)!r}{near}")
