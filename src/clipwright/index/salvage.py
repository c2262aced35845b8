"""A damaged database: what can be read of it goes into a new one, and the old one is kept."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import shutil
import sqlite3
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clipwright.atomic import replacing
from clipwright.errors import IndexFileError
from clipwright.index.database import PAGE_SIZE, connect_as, explained, make_tables, new_head

Row = tuple[Any, ...]
_STEP = 4096
"""Rows that are asked for at once; where that fails, the halves of them."""
_MOST_ROOTS = 10_000
"""Ids up to which roots and spaces are looked for where the highest is not to be read."""
logger = logging.getLogger(__name__)


@dataclass
class _Table:
    """What was read of a table."""

    rows: int = 0
    lost: bool = False
    """Whether any row could not be read, or was no such row any more."""


def salvage(database: Path) -> Path:
    """Puts a new database with all that can be read in the place of a damaged one. Gives where the old one is kept.

    A warning says what could be read. Photographs keep their ids; those that cannot be read are found again by the
    next update, and embedded again. To be called by one process at a time (lock.py). Raises OSError where the disk is
    full; then the damaged database stays where it is.
    """
    kept = _free_name(database)
    try:
        with contextlib.suppress(sqlite3.Error), contextlib.closing(connect_as(database, "rw")) as old:
            old.execute("PRAGMA busy_timeout = 1000")
            old.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # one file is easier to keep than two
        with replacing(database) as new:
            with _readable(database) as old:
                read = _copy_all(old, new)
            _keep_old(database, kept)
    except sqlite3.Error as error:
        raise explained(error, database) from error
    mark = database.with_name(f"{database.name}.damaged")
    mark.unlink(missing_ok=True)
    shutil.rmtree(database.with_name(f"{database.name}.derived"), ignore_errors=True)
    logger.warning(
        "the index %s was damaged: %s photographs, %s vectors and %s thumbnails were salvaged%s; the old file is "
        "kept as %s and can be removed",
        database,
        f"{read['photos'].rows:,}",
        f"{read['vectors'].rows:,}",
        f"{read['thumbnails'].rows:,}",
        ", and what is missing is indexed again" if any(table.lost for table in read.values()) else "",
        kept,
    )
    return kept


@contextlib.contextmanager
def _readable(database: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a damaged database; to a copy with a new first page where that is what is damaged."""
    with contextlib.closing(connect_as(database, "ro")) as old:
        try:
            old.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
        except sqlite3.DatabaseError:
            head = new_head(database)
        else:
            yield old
            return
    if head is None:
        raise IndexFileError(f"nothing can be read of {database}; move it away, and index your photographs again")
    with tempfile.TemporaryDirectory(dir=database.parent, prefix=".clipwright-") as name:
        copy = Path(shutil.copy(database, name))
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(database.with_name(f"{database.name}-wal"), name)
        with copy.open("rb+") as file:
            file.write(head)
        with contextlib.closing(connect_as(copy, "rw")) as old:
            yield old


def _copy_all(old: sqlite3.Connection, path: Path) -> dict[str, _Table]:
    """A new database with what the old one still has; what was read, by table."""
    tables: dict[str, _Table] = defaultdict(_Table)
    with contextlib.closing(connect_as(path, "rwc")) as new:
        new.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        new.execute("BEGIN")
        make_tables(new)
        highest = _highest(
            old,
            "SELECT seq FROM sqlite_sequence WHERE name = 'photos'",
            "SELECT MAX(id) FROM photos",
            "SELECT MAX(photo) FROM thumbnails",
            "SELECT MAX(photo) FROM gone",
        )
        for table, key, last in (
            ("roots", "id", _highest(old, "SELECT MAX(id) FROM roots") or _MOST_ROOTS),
            ("spaces", "id", _highest(old, "SELECT MAX(id) FROM spaces") or _MOST_ROOTS),
            ("photos", "id", highest),
            ("failures", "rowid", _highest(old, "SELECT MAX(rowid) FROM failures")),
        ):
            _copy(new, table, _read(old, f"SELECT * FROM {table} WHERE {key}", last, tables[table]), tables[table])
        _name_lost_roots(new)
        kept = {photo for (photo,) in new.execute("SELECT id FROM photos")}
        thumbnails = _read(old, "SELECT * FROM thumbnails WHERE photo", highest, tables["thumbnails"])
        _copy(new, "thumbnails", (row for row in thumbnails if row[0] in kept), tables["thumbnails"])
        for space, embed_dim in new.execute("SELECT id, embed_dim FROM spaces").fetchall():
            vectors = _read(old, f"SELECT * FROM vectors WHERE space = {space:d} AND photo", highest, tables["vectors"])
            ours = (row for row in vectors if row[1] in kept and len(row[3]) == 2 * embed_dim)
            _copy(new, "vectors", ours, tables["vectors"])
        if tables["thumbnails"].lost:  # a photograph is read again, if it can be, where it lacks a vector
            new.execute(
                "DELETE FROM vectors WHERE photo IN (SELECT photos.id FROM photos JOIN roots ON roots.id = root "
                "WHERE NOT offline AND roots.thumbnails AND photos.id NOT IN (SELECT photo FROM thumbnails))"
            )
        serial = 1 + max(_highest(old, "SELECT serial FROM counters"), _highest(new, "SELECT MAX(serial) FROM photos"))
        new.execute("UPDATE counters SET serial = ?", (serial,))
        gone = ((photo, serial) for photo in range(1, highest + 1) if photo not in kept)
        new.executemany("INSERT INTO gone (photo, serial) VALUES (?, ?)", gone)
        new.execute("DELETE FROM sqlite_sequence")
        new.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('photos', ?)", (highest,))
        new.execute("COMMIT")
        new.execute("PRAGMA journal_mode = WAL")
    return tables


def _highest(connection: sqlite3.Connection, *queries: str) -> int:
    """The highest number that any of these queries gives; those that fail say nothing."""
    highest = 0
    for query in queries:
        with contextlib.suppress(sqlite3.DatabaseError):
            row = connection.execute(query).fetchone()
            highest = max(highest, row[0] if row and isinstance(row[0], int) else 0)
    return highest


def _read(old: sqlite3.Connection, select: str, last: int, table: _Table) -> Iterator[Row]:
    """The rows whose key is 1 to last, as far as they can be read. select ends with WHERE and the key."""
    ranges = [(low, min(low + _STEP - 1, last)) for low in range(1, last + 1, _STEP)][::-1]
    while ranges:
        low, high = ranges.pop()
        try:
            rows = old.execute(f"{select} BETWEEN ? AND ?", (low, high)).fetchall()
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            table.lost = True
            if low < high:
                middle = (low + high) // 2
                ranges += [(middle + 1, high), (low, middle)]
        else:
            yield from rows


def _copy(new: sqlite3.Connection, name: str, rows: Iterator[Row], table: _Table) -> None:
    columns = [column for _, column, *_ in new.execute(f"PRAGMA table_info({name})")]
    for row in rows:
        if _is_sound(name, row):
            known = ", ".join(columns[: len(row)])  # of an older version there are fewer
            places = ", ".join("?" * len(row))
            table.rows += new.execute(f"INSERT OR IGNORE INTO {name} ({known}) VALUES ({places})", row).rowcount
        else:
            table.lost = True


def _is_sound(name: str, row: Row) -> bool:
    """Whether a row is what it should be: damage may lie within a page that can still be read."""
    if name == "roots":
        return isinstance(row[1], bytes) and (len(row) == 3 or _is_list_of_texts(row[3]))
    if name == "photos":
        _, root, path, size, mtime_ns, content_hash = row[:6]
        numbers = all(isinstance(value, int) for value in (root, size, mtime_ns, *row[7:9]))
        return numbers and isinstance(path, bytes) and isinstance(content_hash, bytes) and len(content_hash) == 16
    if name == "thumbnails":
        return isinstance(row[1], bytes) and row[1].startswith(b"\xff\xd8") and row[1].endswith(b"\xff\xd9")
    if name == "vectors":
        if not isinstance(row[3], bytes) or len(row[3]) % 2:
            return False
        length = float(np.linalg.norm(np.frombuffer(row[3], "<f2").astype(np.float32)))
        return math.isclose(length, 1, abs_tol=0.01)
    return True


def _is_list_of_texts(value: Any) -> bool:
    try:
        texts = json.loads(value)
    except (ValueError, TypeError):
        return False
    return isinstance(texts, list) and all(isinstance(text, str) for text in texts)


def _name_lost_roots(new: sqlite3.Connection) -> None:
    """Gives photographs whose root could not be read one again: the innermost folder that holds them all."""
    lost: dict[int, list[bytes]] = defaultdict(list)
    for root, path in new.execute("SELECT root, path FROM photos WHERE root NOT IN (SELECT id FROM roots)"):
        if os.path.isabs(path):
            lost[root].append(os.path.dirname(path))
    for root, folders in lost.items():
        folder = os.path.commonpath(folders)
        new.execute("INSERT OR IGNORE INTO roots (id, path) VALUES (?, ?)", (root, folder))
        logger.warning("what was excluded in %s, if anything, could not be read; exclude it again", os.fsdecode(folder))
    new.execute("DELETE FROM photos WHERE root NOT IN (SELECT id FROM roots)")
    new.execute("DELETE FROM failures WHERE root NOT IN (SELECT id FROM roots)")


def _free_name(database: Path) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    kept = database.with_name(f"{database.name}.damaged-{stamp}")
    count = 1
    while kept.exists():
        count += 1
        kept = database.with_name(f"{database.name}.damaged-{stamp}-{count}")
    return kept


def _keep_old(database: Path, kept: Path) -> None:
    """Gives the old file a second name, and what SQLite keeps beside it the names that go with that."""
    try:
        kept.hardlink_to(database)
    except OSError:  # a file system without links
        shutil.copy2(database, kept)
    log = database.with_name(f"{database.name}-wal")
    if log.exists():  # the new database must not meet it
        if log.stat().st_size:
            log.rename(kept.with_name(f"{kept.name}-wal"))
        else:
            log.unlink()
    database.with_name(f"{database.name}-shm").unlink(missing_ok=True)
