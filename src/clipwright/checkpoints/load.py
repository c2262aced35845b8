"""From the name of a model to its checkpoint."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from clipwright.checkpoints.catalog import catalog
from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.model_file import MODEL_FILE, own_file
from clipwright.checkpoints.model_file import load_model as load_own
from clipwright.errors import CheckpointError, UnknownModelError, suggestion

if TYPE_CHECKING:
    from clipwright.checkpoints.ready_graphs import ReadyGraphs

STARTER = "starter"
_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*(@[\w./-]+)?")
Fetch = Callable[[str, str | None], Path]
"""Gives the folder of a repository on the hub; the second of its arguments is Place.which."""


@dataclass(frozen=True)
class Place:
    """Where a model lies."""

    paths: tuple[Path, ...]
    """One file or folder; or two, which make a model together."""
    which: str | None = None
    """What was named behind a colon: the architecture of a file of weights, a variant of what a folder holds."""

    def __str__(self) -> str:
        return "+".join(map(str, self.paths)) + (f":{self.which}" if self.which else "")


def load_model(name: str | Path) -> Checkpoint | ReadyGraphs:
    """What is called name: a checkpoint, as load_checkpoint gives it, or ready graphs where there are no weights.

    Raises as load_checkpoint.
    """
    return read_place(find_place(name))


def load_checkpoint(name: str | Path) -> Checkpoint:
    """The model called name: 'starter', a file or folder in any layout, a catalogue's name, or a hub repository.

    Raises UnknownModelError, with the nearest names, where there is no such model, and CheckpointError where its files
    are damaged or of a kind that is not read.
    """
    place = find_place(name)
    ours = _own(place)
    if ours is not None:
        return ours
    from clipwright.checkpoints.folder import GRAPHS_ALONE, read_checkpoint

    if len(place.paths) == 1:
        return read_checkpoint(place.paths[0], place.which)
    model = read_place(place)
    if not isinstance(model, Checkpoint):
        raise CheckpointError(f"{str(name)!r} {GRAPHS_ALONE}")
    return model


def read_place(place: Place) -> Checkpoint | ReadyGraphs:
    """The model at a place. No network is touched. Raises CheckpointError as load_checkpoint."""
    ours = _own(place)
    if ours is not None:
        return ours
    from clipwright.checkpoints.folder import read_model, read_two

    if len(place.paths) == 2:
        return read_two(*place.paths, place.which)
    return read_model(place.paths[0], place.which)


def _own(place: Place) -> Checkpoint | None:
    """The model in clipwright's own file; None in other layouts, whose code takes a fifth of a search to import."""
    file = own_file(place.paths[0]) if len(place.paths) == 1 and place.which is None else None
    return None if file is None else load_own(file)


def find_place(name: str | Path, fetch: Fetch | None = None) -> Place:
    """Where the model of a name lies; a repository of the hub is downloaded where it is not in the cache yet.

    A Path never means a repository. fetch: what gives the folder of a repository, if not the cache; then only
    repositories are meant. Raises UnknownModelError, with the nearest names, where there is no such model.
    """
    parts, which = split_name(name)
    return Place(tuple(_path(type(name)(part), which, fetch) for part in parts), which)


def split_name(name: str | Path) -> tuple[tuple[str, ...], str | None]:
    """The names in a name: 'NAME+NAME' is a model that two make together, and behind a colon stands which one of
    several is meant, or an architecture. A file or folder that is called so counts before either."""
    text = str(name)
    base, _, which = text.rpartition(":")
    is_drive = len(base) == 1 and not Path(base).exists()  # C:\\lost.pt
    if Path(text).exists() or not base or not which or is_drive:
        base, which = text, ""
    halves = base.split("+")
    parts = (base,) if Path(base).exists() or len(halves) != 2 or not all(halves) else tuple(halves)
    return parts, which or None


def absolute_name(name: str, folder: Path = Path()) -> str:
    """The name with its paths, which begin in folder, in full, so that it means the same in another one."""
    parts, which = split_name(name)
    full = [part if part == STARTER else _in_full(part, folder) for part in parts]
    return "+".join(full) + (f":{_in_full(which, folder)}" if which else "")


def _in_full(name: str, folder: Path) -> str:
    path = folder / name
    return str(path.absolute()) if path.exists() else name


def model_path(name: str | Path) -> Path:
    """The file or folder of a model that is a single one. Raises as find_place."""
    return find_place(name).paths[0]


def _path(name: str | Path, which: str | None, fetch: Fetch | None) -> Path:
    if fetch is None and name == STARTER:
        return _starter()
    if fetch is None and Path(name).exists():
        return Path(name)
    if isinstance(name, Path):
        raise _unknown(str(name))
    repository = hub_name(name)
    from clipwright.checkpoints.hub import cached_or_pulled

    return (fetch or cached_or_pulled)(repository, which)


def _starter() -> Path:
    path = Path(str(resources.files("clipwright") / "starter" / MODEL_FILE))
    if not path.is_file():
        raise CheckpointError(f"this installation lacks the starter's weights at {str(path)!r}; install it again")
    return path


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
