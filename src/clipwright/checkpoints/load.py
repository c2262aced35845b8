"""From the name of a model to its checkpoint."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from clipwright.checkpoints.catalog import catalog
from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.folder import OUR_FILE, read_checkpoint, read_model
from clipwright.checkpoints.onnx_repository import OnnxRepository
from clipwright.errors import CheckpointError, UnknownModelError, suggestion

STARTER = "starter"
MODEL_FILE = OUR_FILE
"""How the model file in a folder is called."""
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


def load_model(name: str | Path) -> Checkpoint | OnnxRepository:
    """What is called name: a checkpoint, as load_checkpoint gives it, or ready ONNX graphs where there are no weights.

    Raises as load_checkpoint.
    """
    return read_model(model_path(name))


def load_checkpoint(name: str | Path) -> Checkpoint:
    """The model called name: 'starter', a file or folder in any layout, a catalogue's name, or a hub repository.

    Raises UnknownModelError, with the nearest names, where there is no such model, and CheckpointError where its files
    are damaged or of a kind that is not read.
    """
    return read_checkpoint(model_path(name))


def model_path(name: str | Path) -> Path:
    """Where the file or folder of a model lies; a repository of the hub is downloaded where it is not in the cache yet.

    A file or folder of this name counts before a repository. A Path never means one. Raises UnknownModelError, with
    the nearest names, where there is neither.
    """
    if name == STARTER:
        path = Path(str(resources.files("clipwright") / "starter" / MODEL_FILE))
        if not path.is_file():
            raise CheckpointError(f"this installation lacks the starter's weights at {str(path)!r}; install it again")
        return path
    path = Path(name)
    if path.exists():
        return path
    if isinstance(name, Path):
        raise _unknown(str(name))
    from clipwright.checkpoints.hub import cached_or_pulled

    return cached_or_pulled(hub_name(name))


def hub_name(name: str) -> str:
    """'owner/name' or 'owner/name@revision' on the hub, from such a name or from a short one of the catalogue.

    A short name may have a '@revision' too. Raises UnknownModelError, with the nearest names, for anything else.
    """
    if name == STARTER:
        raise UnknownModelError(f"{STARTER!r} is in the package, not on the hub; there is nothing to download")
    short, at, revision = name.partition("@")
    entry = catalog().get(short)
    repository = name if entry is None else f"{entry.repository}{at}{revision}"
    if _HUB_NAME.fullmatch(repository) is None:
        raise _unknown(name)
    return repository


def _unknown(name: str) -> UnknownModelError:
    near = suggestion(name.partition("@")[0].lower(), (STARTER, *catalog()))
    known = "'clipwright models' lists the names; a file, a folder and owner/name on the hub are models too"
    return UnknownModelError(f"no model {name!r}{near or f'; {known}'}")
