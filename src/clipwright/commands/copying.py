"""Copies of photographs, or links to them, in a folder: names are kept, nothing that is there is touched."""

from __future__ import annotations

import contextlib
import filecmp
import itertools
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

from clipwright.atomic import replacing
from clipwright.errors import ClipwrightError

Place = Callable[[Path, Path], None]
"""(photograph, free path): puts it there. Raises FileExistsError where the path was not free."""
Outcome = Literal["placed", "there"] | OSError
"""What became of a photograph: put there now, there before, or what went wrong."""


def copy_to(folder: Path, photos: Iterable[Path]) -> Iterator[tuple[Path, Outcome]]:
    """Copies each photograph into the folder, times and all, and gives it with what became of it.

    Where its name is taken, it gets the next of 'NAME (2).jpg'; where the same content stands there, it is done.
    """
    return _place_all(folder, photos, _copy, _is_same)


def link_to(folder: Path, photos: Iterable[Path]) -> Iterator[tuple[Path, Outcome]]:
    """The same with symbolic links to the photographs."""
    return _place_all(folder, photos, _link, _is_linked)


def make_folder(folder: Path, option: str) -> None:
    """Makes the folder where it is not there. Raises ClipwrightError where a file has its name."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ClipwrightError(f"{option} {str(folder)!r} is a file; name a folder") from error


def _place_all(
    folder: Path, photos: Iterable[Path], place: Place, is_there: Callable[[Path, Path], bool]
) -> Iterator[tuple[Path, Outcome]]:
    for photo in photos:
        outcome: Outcome = "there"
        try:
            for path in _names(folder / photo.name):
                if os.path.lexists(path):
                    if is_there(photo, path):
                        break
                    continue
                with contextlib.suppress(FileExistsError):  # somebody took the name meanwhile
                    place(photo, path)
                    outcome = "placed"
                    break
        except OSError as error:
            outcome = error
        yield photo, outcome


def _names(path: Path) -> Iterator[Path]:
    yield path
    for number in itertools.count(2):
        yield path.with_name(f"{path.stem} ({number}){path.suffix}")


def _copy(photo: Path, path: Path) -> None:
    with photo.open("rb") as source:
        path.open("xb").close()  # the name is ours from here on
        try:
            with replacing(path) as temporary, temporary.open("wb") as target:
                shutil.copyfileobj(source, target)
            with contextlib.suppress(OSError):  # not every file system keeps times and rights
                shutil.copystat(photo, path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _link(photo: Path, path: Path) -> None:
    photo.stat()  # a link to nothing helps nobody
    path.symlink_to(photo)


def _is_same(photo: Path, path: Path) -> bool:
    return path.is_file() and filecmp.cmp(photo, path, shallow=False)


def _is_linked(photo: Path, path: Path) -> bool:
    return path.is_symlink() and path.readlink() == photo
