"""What a command was told to work on: files as they are named, folders as the pictures in them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from clipwright.errors import Failure
from clipwright.inputs.images import IMAGE_SUFFIXES


def find_photos(arguments: Iterable[Path]) -> Iterator[Path | Failure]:
    """Every file named, and every picture in the folders named, by name; a folder without any is a Failure.

    In folders, hidden files and folders are passed over and links to folders are not followed.
    """
    for argument in arguments:
        if not argument.is_dir():
            yield argument
            continue
        found = False
        for photo in _pictures_below(argument):
            found = True
            yield photo
        if not found:
            yield Failure(argument, "no_pictures", "a folder without pictures")


def _pictures_below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES:
                yield Path(parent, name)
