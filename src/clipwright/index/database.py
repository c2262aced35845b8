"""An index's SQLite file as such: connections to it, making and checking it, and what its errors mean."""

from __future__ import annotations

import contextlib
import errno
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from clipwright.errors import ClipwrightError, DamagedIndexError, IndexFileError
from clipwright.index.schema import APPLICATION_ID, TABLES, VERSION

PAGE_SIZE = 16_384
"""Bytes. Of smaller pages SQLite would keep a vector of 1,024 numbers apart from its row, each on a page of its own."""
_WAIT_SECONDS = 30.0
"""How long a writer waits for another's transaction; an indexer's last milliseconds."""
logger = logging.getLogger(__name__)


_MEANINGS = {
    sqlite3.SQLITE_NOTADB: "{path} is not an index of clipwright; name another file, or move this one away",
    sqlite3.SQLITE_BUSY: "the index {path} is held by another program; try again when it has ended",
    sqlite3.SQLITE_LOCKED: "the index {path} is held by another program; try again when it has ended",
    sqlite3.SQLITE_CANTOPEN: "the index {path} cannot be opened ({error}); look at the permissions of its folder",
    sqlite3.SQLITE_READONLY: "the index {path} cannot be written ({error}); look at its permissions",
    sqlite3.SQLITE_PERM: "the index {path} cannot be written ({error}); look at its permissions",
}


_NO_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR)
"""The system's words for a folder that may not be written, or that is a file."""


@contextlib.contextmanager
def place_explained(path: Path) -> Iterator[None]:
    """Raises IndexFileError where the block finds that nothing can be written where this index lies."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_PLACE:
            raise
        folder = path.parent
        raise IndexFileError(
            f"the index {path} cannot be written: {error.strerror}; look at the folder {folder} and its permissions, "
            "or name another place with --index"
        ) from error


def explained(error: sqlite3.Error, path: Path) -> ClipwrightError | OSError:
    """What an error of SQLite means for who uses the index. Where it is damage, the file is marked as damaged."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return OSError(errno.ENOSPC, "the disk is full; what was indexed is kept", str(path))
    if code == sqlite3.SQLITE_IOERR:
        return OSError(errno.EIO, f"the disk fails or is full ({error}); what was indexed is kept", str(path))
    if code == sqlite3.SQLITE_CORRUPT or (code == sqlite3.SQLITE_NOTADB and new_head(path)):
        with contextlib.suppress(OSError):
            path.with_name(f"{path.name}.damaged").touch()
        return DamagedIndexError(f"the index {path} is damaged; 'clipwright index' salvages what can be read")
    return IndexFileError(
        _MEANINGS.get(code, "the index {path} cannot be used: {error}").format(path=path, error=error)
    )


def connect(path: Path, *, writing: bool) -> sqlite3.Connection:
    """A connection whose transactions are begun and ended by hand. Reading ones never write to the database."""
    connection = connect_as(path, "rw" if writing else "ro")
    try:
        if writing:  # a crash of the machine may cost the last transactions, never the file
            connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA schema_version")  # opens the file
        return connection
    except sqlite3.OperationalError as error:
        connection.close()
        code = error.sqlite_errorcode & 0xFF
        if writing or code not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) or not path.is_file():
            raise
    # The folder may not be written, so that SQLite's own files beside the database cannot be made: nobody writes it.
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        logger.warning("%s may not be written, so what lies in it is left out: the last changes", log)
    return connect_as(path, "ro&immutable=1")


def connect_as(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.as_uri()}?mode={mode}", uri=True, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
    )


def check(path: Path, connection: sqlite3.Connection) -> tuple[int, int]:
    """The version of a database and how many tables it has. Raises IndexFileError where it is not for us."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and (tables or application):
        raise IndexFileError(
            f"{path} is a database of another program; name another file for the index, or move this one away"
        )
    if version > VERSION:
        raise IndexFileError(
            f"the index {path} has version {version} and this clipwright reads {VERSION}; install a newer clipwright"
        )
    return version, tables


def make(path: Path) -> None:
    """An empty index in a new file. Of several processes that do this at once, one does it."""
    with place_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.closing(connect_as(path, "rwc")) as connection:
            connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")
            if not check(path, connection)[1]:
                make_tables(connection)
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise explained(error, path) from error


def make_tables(connection: sqlite3.Connection) -> None:
    """The schema in an empty database, within the transaction that was begun."""
    statement = ""
    for line in TABLES.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def new_head(path: Path) -> bytes | None:
    """A first page for an index whose own is damaged; None for a file that is no index.

    The first page says where each table begins. Tables are made in one order and so begin on the same pages in every
    index, and from these pages it can be told, too, whether a file is one.
    """
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as empty:
        empty.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        make_tables(empty)
        begins = empty.execute(
            "SELECT rootpage, sql LIKE 'CREATE TABLE%' AND sql NOT LIKE '%WITHOUT ROWID%' FROM sqlite_schema"
        )
        expected = {page: (5, 13) if by_row else (2, 10) for page, by_row in begins}
        head = bytearray(empty.serialize()[:PAGE_SIZE])
    try:
        with path.open("rb") as file:
            found = 0
            for page, kinds in expected.items():
                file.seek((page - 1) * PAGE_SIZE)
                found += file.read(1) in [bytes([kind]) for kind in kinds]
            pages = file.seek(0, 2) // PAGE_SIZE
    except OSError:
        return None
    if found < 0.7 * len(expected):
        return None
    head[18:20] = b"\2\2"  # there may be a log of changes beside it
    head[28:32] = pages.to_bytes(4, "big")
    return bytes(head)
