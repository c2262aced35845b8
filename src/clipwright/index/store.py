"""The SQLite file of an index: opened and checked, read from any thread and process, written in transactions."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sqlite3
import threading
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from clipwright.errors import Failure, MissingIndexError
from clipwright.index.database import check, connect, explained, make
from clipwright.index.migrations import migrate
from clipwright.index.photo import Photo, PhotoFacts
from clipwright.index.schema import VERSION

DISPLACED = b"\0"
"""What the path of a photograph begins with whose file is not where it was, until the update that saw it ends: another
content has its place, and it may turn up elsewhere. No file has such a name."""
NOT_DISPLACED = "photos.path >= x'01'"
PHOTO_COLUMNS = (
    "size, mtime_ns, content_hash, perceptual_hash, width, height, format, orientation, taken, camera, lens, "
    "latitude, longitude"
)
"""Of the table photos: what is said of a file and its content."""
_ROWS_AT_ONCE = 500


@dataclass(frozen=True)
class Root:
    """A folder that was given to the index."""

    id: int
    path: bytes
    offline: bool
    excludes: tuple[str, ...]
    """Patterns, as in .clipwrightignore, of what is passed over."""
    thumbnails: bool
    """Whether they are made of what is read."""


@dataclass(frozen=True)
class Space:
    """An embedding space of an index."""

    id: int
    """Its row in the table spaces."""
    space_id: str
    model: str
    embed_dim: int


@dataclass(frozen=True)
class KnownFiles:
    """The photographs of a root, N of them, as compact as a million of them ask for."""

    rows: dict[bytes, int]
    """Path to a row of the columns below."""
    ids: array[int]
    sizes: array[int]
    mtimes_ns: array[int]
    has_vector: bytearray
    """1 where there is a vector in the space asked about."""


@dataclass(frozen=True)
class Version:
    """A state of an index; two of the same are equal."""

    file: tuple[int, int] | None
    """The device and the number of the database's file."""
    serial: int
    """Of the last transaction that changed anything."""


@dataclass(frozen=True)
class Transaction:
    """One change of an index: all of it happens or nothing."""

    connection: sqlite3.Connection
    serial: int
    """The number that this transaction stamps rows with."""


class Store:
    """An index's database. Safe to use from several threads; any number of processes may read while one writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._idle: list[sqlite3.Connection] = []
        self._idle_lock = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._writer_lock = threading.RLock()
        self._file = _identity(path)
        """The file that connections are open to: a salvaged one may take its place."""

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> Store:
        """The index in this file; where there is none and create is set, an empty one.

        Raises MissingIndexError where there is none, IndexFileError where it is another program's or needs a newer
        clipwright; DamagedIndexError where it cannot be read at all.
        """
        path = Path(os.path.abspath(path))
        if path.exists() and not path.is_file():
            what = "a folder" if path.is_dir() else "no ordinary file"
            raise MissingIndexError(f"the index {path} is {what}; name a file, which 'clipwright index FOLDER' makes")
        if create and not (path.exists() and path.stat().st_size):
            make(path)
        if not path.is_file():
            raise MissingIndexError(f"the index {path} does not exist; 'clipwright index FOLDER' makes one")
        store = cls(path)
        with store.reading() as connection:
            version, tables = check(path, connection)
        if not (version and tables):  # whoever was making it was killed, or is about to finish
            if not create:
                raise MissingIndexError(f"the index {path} is empty; 'clipwright index FOLDER' fills it")
            make(path)
        return store

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees the index as it is now, whatever is written meanwhile. For a short while only: as long
        as it is held, SQLite cannot tidy up what writers append."""
        with self._explained():
            connection = self._take()
            try:
                connection.execute("BEGIN")
                yield connection
            except BaseException:
                connection.close()
                raise
            connection.execute("ROLLBACK")
            with self._idle_lock:
                self._idle.append(connection)

    @contextlib.contextmanager
    def writing(self) -> Iterator[Transaction]:
        """A transaction with the next serial, kept when the block ends well. One at a time; others wait.

        The first of an index of an older version makes it one of this. Raises IndexFileError where it is of a newer one
        by now, and OSError where the disk is full or fails; then nothing of the transaction is kept.
        """
        with self._writer_lock, self._explained():
            self._notice_new_file()
            if self._writer is None:
                self._writer = connect(self.path, writing=True)
            connection = self._writer
            connection.execute("BEGIN IMMEDIATE")
            try:
                migrate(connection, check(self.path, connection)[0])
                (serial,) = connection.execute("UPDATE counters SET serial = serial + 1 RETURNING serial").fetchone()
                yield Transaction(connection, serial)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # SQLite itself ends it where the disk is full
                    connection.execute("ROLLBACK")
                raise

    def migrate(self) -> None:
        """Makes an index of an older version one of this; nothing where it is. For readers there is no need to."""
        with self.reading() as connection:
            version, _ = check(self.path, connection)
        if version < VERSION:
            with self.writing():
                pass

    def serial(self) -> int:
        """The number of the last transaction that changed anything."""
        with self.reading() as connection:
            return int(connection.execute("SELECT serial FROM counters").fetchone()[0])

    def version(self) -> Version:
        """What the index is now: the same as long as nothing in it changes and no other file takes its place."""
        serial = self.serial()
        return Version(self._file, serial)

    def roots(self) -> list[Root]:
        """By path."""
        with self.reading() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            settings = "excludes, thumbnails" if version >= 2 else "'[]', 1"
            rows = connection.execute(f"SELECT id, path, offline, {settings} FROM roots ORDER BY path").fetchall()
        return [
            Root(id_, path, bool(offline), tuple(json.loads(excludes)), bool(thumbnails))
            for id_, path, offline, excludes, thumbnails in rows
        ]

    def spaces(self) -> list[Space]:
        """In the order in which they were added."""
        with self.reading() as connection:
            rows = connection.execute("SELECT id, space_id, model, embed_dim FROM spaces ORDER BY id").fetchall()
        return [Space(*row) for row in rows]

    def vector_counts(self) -> dict[int, int]:
        """How many photographs have a vector in each space, by the space's row."""
        with self.reading() as connection:
            return dict(connection.execute("SELECT space, COUNT(*) FROM vectors GROUP BY space").fetchall())

    def known_files(self, root: int, space: int) -> KnownFiles:
        """The photographs of a root (its id), and which of them have a vector in a space (its row)."""
        known = KnownFiles({}, array("q"), array("q"), array("q"), bytearray())
        with self.reading() as connection:
            found = connection.execute("SELECT path, id, size, mtime_ns FROM photos WHERE root = ?", (root,))
            while some := found.fetchmany(_ROWS_AT_ONCE):
                paths, ids, sizes, mtimes_ns = zip(*some, strict=True)
                known.rows.update(zip(paths, itertools.count(len(known.ids)), strict=False))
                known.ids.extend(ids)
                known.sizes.extend(sizes)
                known.mtimes_ns.extend(mtimes_ns)
            # The index alone is read: the table would bring every vector with it.
            embedded = connection.execute(
                "SELECT photo FROM vectors INDEXED BY vectors_by_serial WHERE space = ?", (space,)
            )
            with_vector = np.fromiter(itertools.chain.from_iterable(embedded), np.int64)
        known.has_vector.extend(np.isin(np.frombuffer(known.ids, np.int64), with_vector).tobytes())
        return known

    def has_photos(self, root: int) -> bool:
        """Whether the index knows a photograph of a root (its id)."""
        with self.reading() as connection:
            found = connection.execute("SELECT 1 FROM photos WHERE root = ? LIMIT 1", (root,)).fetchone()
        return found is not None

    def known_failures(self, root: int) -> dict[bytes, tuple[int, int]]:
        """Files of a root that could not be used, with size and mtime_ns as they were then."""
        with self.reading() as connection:
            rows = connection.execute("SELECT path, size, mtime_ns FROM failures WHERE root = ?", (root,))
            return {path: (size, mtime) for path, size, mtime in rows}

    def has_content(self, content_hash: bytes, space: int) -> bool:
        """Whether a photograph of this content has a vector in a space (its row)."""
        with self.reading() as connection:
            found = connection.execute(
                "SELECT 1 FROM photos JOIN vectors ON space = ? AND photo = photos.id WHERE content_hash = ? LIMIT 1",
                (space, content_hash),
            ).fetchone()
        return found is not None

    def photos(self, ids: Sequence[int]) -> list[Photo]:
        """The photographs with these ids, in this order; those that are gone by now are left out."""
        with self.reading() as connection:
            rows = connection.execute(
                f"{_SELECT_PHOTOS} AND photos.id IN (SELECT value FROM json_each(?))",
                (json.dumps([int(id_) for id_ in ids]),),
            )
            found = {photo.id: photo for photo in map(_photo, rows)}
        return [found[id_] for id_ in map(int, ids) if id_ in found]

    def perceptual_hashes(self, ids: Sequence[int]) -> np.ndarray:
        """(N,) uint64: of the photographs with these ids, in this order; 0 where there is none, or no photograph."""
        with self.reading() as connection:
            rows = connection.execute(
                "SELECT id, perceptual_hash FROM photos WHERE id IN (SELECT value FROM json_each(?))",
                (json.dumps([int(id_) for id_ in ids]),),
            )
            looks = dict(rows.fetchall())
        return np.array([(looks.get(int(id_)) or 0) % 2**64 for id_ in ids], np.uint64)

    def photo_at(self, path: Path) -> Photo | None:
        """The photograph in this file."""
        with self.reading() as connection:
            absolute = os.fsencode(os.path.abspath(path))
            row = connection.execute(f"{_SELECT_PHOTOS} AND photos.path = ?", (absolute,)).fetchone()
        return _photo(row) if row else None

    def thumbnail(self, photo: int) -> bytes | None:
        """The small JPEG of a photograph (its id), where one was made."""
        with self.reading() as connection:
            row = connection.execute("SELECT jpeg FROM thumbnails WHERE photo = ?", (photo,)).fetchone()
        return bytes(row[0]) if row else None

    def content_and_thumbnail(self, photo: int) -> tuple[bytes, bytes | None] | None:
        """The content hash of a photograph (its id) and its small JPEG, where one was made; None: no photograph."""
        with self.reading() as connection:
            row = connection.execute(
                "SELECT content_hash, jpeg FROM photos LEFT JOIN thumbnails ON photo = id "
                f"WHERE id = ? AND {NOT_DISPLACED}",
                (photo,),
            ).fetchone()
        return (bytes(row[0]), row[1]) if row else None

    def failures(self, limit: int | None = None) -> Iterator[Failure]:
        """Files and folders that could not be used, by path: all, or the first of them."""
        with self.reading() as connection:
            rows = connection.execute(
                "SELECT path, code, message FROM failures ORDER BY path LIMIT ?", (-1 if limit is None else limit,)
            ).fetchall()
        for path, code, message in rows:
            yield Failure(Path(os.fsdecode(path)), code, message)

    def count_below(self, folder: Path) -> int:
        """How many photographs lie in a folder or below it."""
        start = os.fsencode(os.path.join(os.path.abspath(folder), ""))
        with self.reading() as connection:
            return int(
                connection.execute(
                    "SELECT COUNT(*) FROM photos WHERE path >= ? AND path < ?",
                    (start, start[:-1] + bytes([start[-1] + 1])),
                ).fetchone()[0]
            )

    def vectors_since(self, space: int, serial: int, count: int = 4096) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(ids (n,) int64, vectors (n, D) float16) of a space (its row) that changed after a serial, count at a time.

        Serial 0 gives all, by id. All of one call are of one moment.
        """
        # In the order of the table where most are wanted: each is then read where the one before lay.
        way = "" if serial else "NOT INDEXED"
        with self.reading() as connection:
            rows = connection.execute(
                f"SELECT photo, vector FROM vectors {way} WHERE space = ? AND serial > ?", (space, serial)
            )
            while some := rows.fetchmany(count):
                ids = np.array([photo for photo, _ in some], np.int64)
                yield ids, np.frombuffer(b"".join(vector for _, vector in some), "<f2").reshape(len(some), -1)

    @property
    def derived_folder(self) -> Path:
        """Where files lie that can be made again from the database."""
        return self.path.with_name(f"{self.path.name}.derived")

    @property
    def damage_mark(self) -> Path:
        """A file that is there when somebody met damage: the next indexer salvages what can be read."""
        return self.path.with_name(f"{self.path.name}.damaged")

    def close(self) -> None:
        with self._writer_lock, self._idle_lock:
            for connection in [*self._idle, *([self._writer] if self._writer else [])]:
                with contextlib.suppress(sqlite3.Error):  # the last one tidies up, which a full disk may refuse
                    connection.close()
            self._idle.clear()
            self._writer = None

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self) -> sqlite3.Connection:
        self._notice_new_file()
        with self._idle_lock:
            if self._idle:
                return self._idle.pop()
        return connect(self.path, writing=False)

    def _notice_new_file(self) -> None:
        now = _identity(self.path)
        if now != self._file:
            self.close()
            self._file = now

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """SQLite's errors as the project's own."""
        try:
            yield
        except sqlite3.Error as error:
            raise explained(error, self.path) from error


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino


_SELECT_PHOTOS = (
    f"SELECT photos.id, photos.path, {PHOTO_COLUMNS}, roots.offline FROM photos JOIN roots ON roots.id = photos.root "
    f"WHERE {NOT_DISPLACED}"
)


def _photo(row: tuple[Any, ...]) -> Photo:
    id_, path, size, mtime_ns, content_hash, look, *facts, offline = row
    return Photo(
        id=id_,
        path=path,
        size=size,
        mtime_ns=mtime_ns,
        content_hash=content_hash,
        perceptual_hash=None if look is None else look % 2**64,
        facts=PhotoFacts(*facts),
        offline=bool(offline),
    )
