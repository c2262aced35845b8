"""What a command was told to work on: files as they are named, folders as the pictures in them."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from clipwright.errors import Failure
from clipwright.inputs import raw
from clipwright.inputs.image_names import passed_over, photo_suffixes, unread_suffixes

logger = logging.getLogger(__name__)


def find_photos(arguments: Iterable[Path]) -> Iterator[Path | Failure]:
    """Every file named, and every picture in the folders named, by name; a folder without any is a Failure.

    In folders, hidden files and folders are passed over and links to folders are not followed. Raw files of cameras are
    found where they can be read, but not beside a JPEG or HEIF of the same shot. A warning at the end says how many
    files look like pictures and are not read.
    """
    unread: Counter[str] = Counter()
    for argument in arguments:
        if not argument.is_dir():
            yield argument
            continue
        found, unread_here = False, Counter[str]()
        for photo in _pictures_below(argument, unread_here):
            found = True
            yield photo
        if found:
            unread += unread_here
        else:
            remark = f"; passed over: {passed_over(unread_here)}" if unread_here else ""
            yield Failure(argument, "no_pictures", f"a folder without pictures{remark}")
    if unread:
        logger.warning("passed over: %s", passed_over(unread))


def _pictures_below(folder: Path, unread: Counter[str]) -> Iterator[Path]:
    """The pictures in a folder and below it; unread counts the endings of what only looks like one."""
    read, looks = photo_suffixes(), unread_suffixes()
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        spare = raw.beside_their_pictures(files)
        for name in sorted(files):
            suffix = os.path.splitext(name)[1].lower()
            if name.startswith(".") or name in spare:
                continue
            if suffix in read:
                yield Path(parent, name)
            elif suffix in looks:
                unread[suffix] += 1
