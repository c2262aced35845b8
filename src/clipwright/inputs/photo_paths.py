"""What a command was told to work on: files as they are named, folders as the pictures in them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from clipwright.errors import Failure
from clipwright.inputs import raw
from clipwright.inputs.images import IMAGE_SUFFIXES


def find_photos(arguments: Iterable[Path]) -> Iterator[Path | Failure]:
    """Every file named, and every picture in the folders named, by name; a folder without any is a Failure.

    In folders, hidden files and folders are passed over and links to folders are not followed. Raw files of cameras are
    found where they can be read, but not beside a JPEG or HEIF of the same shot.
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
        spare = raw.beside_their_pictures(files)
        for name in sorted(files):
            is_picture = os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES or (
                raw.is_available() and raw.is_raw_name(name) and name not in spare
            )
            if is_picture and not name.startswith("."):
                yield Path(parent, name)
