"""The folders of an index by names that say nothing of where they lie."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path


class RootNames:
    """Names of folders, each the folder's own, with a number where another one has it. A name, once given, stays."""

    def __init__(self) -> None:
        self._folders: dict[str, Path] = {}
        self._names: dict[str, str] = {}
        """By the real path: through a link, a folder is the same."""
        self._lock = threading.Lock()

    def name(self, folder: Path) -> str:
        """The name of a folder, which it gets if it has none yet."""
        real = os.path.realpath(folder)
        with self._lock:
            if real not in self._names:
                self._names[real] = name = self._free_name(folder)
                self._folders[name] = folder
            return self._names[real]

    def folder(self, name: str) -> Path | None:
        """The folder that was given this name."""
        with self._lock:
            return self._folders.get(name)

    def names(self, folders: Iterable[Path]) -> dict[str, Path]:
        """Different folders by their names, in their order."""
        named: dict[str, Path] = {}
        for folder in folders:
            named.setdefault(self.name(folder), folder)
        return named

    def _free_name(self, folder: Path) -> str:
        own = os.fsencode(folder.name).decode("utf-8", "replace") or folder.drive.rstrip(":") or "disk"
        number, name = 1, own
        while name in self._folders:
            number += 1
            name = f"{own} ({number})"
        return name
