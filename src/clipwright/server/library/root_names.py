"""The folders of an index by names that say nothing of where they lie."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from clipwright.server.rejection import RejectionError


class RootNames:
    """Names of folders, each the folder's own, with a number where another one has it. A name, once given, stays."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        """By the real path: through a link, a folder is the same."""
        self._lock = threading.Lock()

    def name(self, folder: Path) -> str:
        """The name of a folder, which it gets if it has none yet."""
        real = os.path.realpath(folder)
        with self._lock:
            if real not in self._names:
                self._names[real] = self._free_name(folder)
            return self._names[real]

    def names(self, folders: Iterable[Path]) -> dict[str, Path]:
        """Different folders by their names, in their order."""
        named: dict[str, Path] = {}
        for folder in folders:
            named.setdefault(self.name(folder), folder)
        return named

    def _free_name(self, folder: Path) -> str:
        own = os.fsencode(folder.name).decode("utf-8", "replace") or folder.drive.rstrip(":") or "disk"
        number, name = 1, own
        while name in self._names.values():
            number += 1
            name = f"{own} ({number})"
        return name


def choose_folders(folders: Mapping[str, Path], known: Collection[str], names: Sequence[str] | None) -> list[str]:
    """Names of those folders that an update is to look at; None: all that are there or that the index knows.

    known: names of those that the index has, which may be offline. Raises RejectionError: 404 unknown_root, 409 missing
    or no_index.
    """
    if names is None:
        chosen = [name for name, folder in folders.items() if name in known or folder.is_dir()]
        if chosen:
            return chosen
        what = "there is no folder to index; start the server with one that exists: --root FOLDER"
        raise RejectionError(409, "no_index", what)
    for name in names:
        if name not in folders:
            has = ", ".join(repr(other) for other in folders) or "none"
            what = f"no folder is called {name[:80]!r} here; there are {has}"
            raise RejectionError(404, "unknown_root", what, param="roots")
        if name not in known and not folders[name].is_dir():
            what = f"the folder {name!r} is not there; is its disk connected?"
            raise RejectionError(409, "missing", what, param="roots")
    return list(dict.fromkeys(names))
