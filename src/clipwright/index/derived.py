"""The derived files of a space: what is searched, kept beside the database so that opening it takes no time.

`base` holds the photographs as they were at one serial, `tail` what changed since; what changed after that is read from
the database into memory. Each file appears whole or not at all and names the serial it reflects, so any number of
processes may read and write them at once; nothing in them is needed. docs/concepts/derived-files.md explains them.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from clipwright.atomic import remove_leftovers
from clipwright.index.array_file import ArrayFile, DamagedArraysError
from clipwright.index.database import connect, explained
from clipwright.index.segment import Segment, projection_of, segment_in_memory, write_segment
from clipwright.index.sketch import HEAD_BYTES, TAIL_BYTES, Projection
from clipwright.index.space_rows import SpaceRows
from clipwright.tasks.relevance import BACKGROUND_COLUMNS

EXACT_ROWS = 131_072
"""Up to so many photographs each is compared with a query; beyond, those whose sketches are nearest."""
_READER_ROWS = 1024
"""So many changed rows a search reads from the database before it writes a file of them."""
_REFRESH_ROWS = 256
"""And so many an update leaves to searches."""
_LEAST_TAIL_ROWS = 16_384
_TAIL_SHARE = 16
"""The tail is written anew with each refresh, so it stays below this part of the base; then the base is."""
_LEFTOVER_SECONDS = 3600.0
_NONE = np.empty(0, np.int64)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Derived:
    """What a table is made of."""

    embed_dim: int
    segments: tuple[Segment, ...]
    """One or more. What a later one hides in earlier ones is not to be found."""
    projection: Projection | None
    """What all segments' sketches were made by; None where they have none."""


@dataclass(frozen=True)
class _Files:
    base: ArrayFile | None
    tail: ArrayFile | None

    @property
    def serial(self) -> int | None:
        """Up to which they reflect the database."""
        newest = self.tail or self.base
        return newest.facts["serial"] if newest else None


def derived_folder(database: Path, space_id: str) -> Path:
    """Where the derived files of a space lie."""
    return database.with_name(f"{database.name}.derived") / quote(space_id, safe="")


def open_derived(database: Path, space_id: str) -> Derived:
    """A space as the database has it now. Files that are missing, stale or damaged are written anew where that may be.

    Raises IndexFileError where the database has no such space or cannot be read.
    """
    folder = derived_folder(database, space_id)
    files = _open_files(folder)
    with _reading(database, space_id) as space:
        files = _trusted(files, space)
        if _changes(space, files) > _READER_ROWS:
            files = _try_to_write(folder, space, files)
        return _assembled(space, files)


def refresh(database: Path, space_id: str) -> None:
    """Brings the derived files up to date, as an update does at its end, after checking all that is in them.

    Where they may not be written, or the disk is full, they stay as they are: searches go on without.
    """
    folder = derived_folder(database, space_id)
    files = _open_files(folder, whole=True)
    with _reading(database, space_id) as space:
        files = _trusted(files, space)
        if _changes(space, files) > _REFRESH_ROWS:
            _try_to_write(folder, space, files)


@contextlib.contextmanager
def _reading(database: Path, space_id: str) -> Iterator[SpaceRows]:
    """A space in a transaction that begins after the files were opened, so that no file is newer than it."""
    try:
        with contextlib.closing(connect(database, writing=False)) as connection:
            connection.execute("BEGIN")
            yield SpaceRows.read(connection, database, space_id)
    except sqlite3.Error as error:
        raise explained(error, database) from error


def _open_files(folder: Path, *, whole: bool = False) -> _Files:
    base, tail = (_opened(folder / name, whole=whole) for name in ("base", "tail"))
    if base is None or tail is None or tail.facts.get("follows") != base.facts.get("token"):
        return _Files(base, None)
    return _Files(base, tail)


def _opened(path: Path, *, whole: bool) -> ArrayFile | None:
    try:
        opened = ArrayFile.open(path)
        if whole:
            opened.check()
        return opened
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (DamagedArraysError, OSError) as error:
        logger.warning("a derived file cannot be used and is made again: %s", error)
        return None


def _trusted(files: _Files, space: SpaceRows) -> _Files:
    """What of these files is of this database, as it is or was."""

    def is_of_this(opened: ArrayFile | None) -> bool:
        return opened is not None and (
            all(opened.facts.get(name) == value for name, value in _identity(space).items())
            and opened.facts["serial"] <= space.serial
            and space.agrees(opened.facts["witnesses"], opened.facts["serial"])
        )

    if not is_of_this(files.base):
        return _Files(None, None)
    return files if is_of_this(files.tail) else _Files(files.base, None)


def _identity(space: SpaceRows) -> dict[str, Any]:
    return {
        "space_id": space.space_id,
        "embed_dim": space.embed_dim,
        "captions": zlib.crc32(space.background.tobytes()),
        "statistics": list(BACKGROUND_COLUMNS),
        "sketch": [HEAD_BYTES, TAIL_BYTES],
    }


def _changes(space: SpaceRows, files: _Files) -> int:
    """How many photographs a search would have to read from the database."""
    return space.count() if files.serial is None else len(space.changed(files.serial))


def _try_to_write(folder: Path, space: SpaceRows, files: _Files) -> _Files:
    """The files, with a new tail or a new base. Those that there were, where the disk refuses."""
    facts = {**_identity(space), "serial": space.serial, "witnesses": space.witnesses()}
    try:
        base = files.base
        hides = _NONE if base is None else space.changed(base.facts["serial"])
        if base is None or len(hides) > max(_LEAST_TAIL_ROWS, len(base.arrays["ids"]) // _TAIL_SHARE):
            write_segment(
                folder / "base", space, {**facts, "token": uuid.uuid4().hex}, since=None, hides=_NONE,
                learn_above=EXACT_ROWS,
            )  # fmt: skip
            (folder / "tail").unlink(missing_ok=True)
        else:
            write_segment(
                folder / "tail", space, {**facts, "follows": base.facts["token"]}, since=base.facts["serial"],
                hides=hides, projection=projection_of(base),
            )  # fmt: skip
        remove_leftovers(folder, _LEFTOVER_SECONDS)
    except OSError as error:
        logger.info("the derived files in %s are not written: %s", folder, error)
        return files
    # Another process may have written in between: then those are another's, and as good unless they are newer.
    written = _trusted(_open_files(folder), space)
    return files if written.serial is None else written


def _assembled(space: SpaceRows, files: _Files) -> Derived:
    """Files and, in memory, what changed after them."""
    segments = [Segment.of(opened) for opened in (files.base, files.tail) if opened]
    projection = projection_of(files.base) if files.base else None
    hides = _NONE if files.serial is None else space.changed(files.serial)
    if len(hides) or not segments:
        segments.append(segment_in_memory(space, files.serial, hides, projection))
    return Derived(space.embed_dim, tuple(segments), projection)
