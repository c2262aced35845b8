"""What an indexer writes: photographs that come, move and go, vectors, failures. Each within a transaction."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import astuple
from pathlib import Path

import numpy as np

from clipwright.embedding.embedder import Embedder
from clipwright.errors import Failure, IndexFileError
from clipwright.index.reading import ReadPhoto
from clipwright.index.scan import FoundFile
from clipwright.index.store import DISPLACED, PHOTO_COLUMNS, Root, Space, Store, Transaction
from clipwright.tasks.background import BACKGROUND_CAPTIONS

ALWAYS_AGAIN = -1
"""Kept as a failure's size where the file should be tried again at each update: no file has it."""


def ensure_space(store: Store, embedder: Embedder) -> Space:
    """The embedder's space in the index, added if it is new."""
    known = {space.space_id: space for space in store.spaces()}.get(embedder.space_id)
    if known is not None:
        if known.embed_dim != embedder.embed_dim:
            raise IndexFileError(
                f"the index {store.path} has {known.embed_dim} numbers a photograph in the space of {embedder.name}, "
                f"which gives {embedder.embed_dim}; one of the two is not what its space_id says"
            )
        if known.model != embedder.name:
            with store.writing() as change:
                change.connection.execute("UPDATE spaces SET model = ? WHERE id = ?", (embedder.name, known.id))
        return known
    background = embedder.embed_texts(BACKGROUND_CAPTIONS).astype("<f2").tobytes()
    with store.writing() as change:
        change.connection.execute(
            "INSERT INTO spaces (space_id, model, embed_dim, background) VALUES (?, ?, ?, ?)",
            (embedder.space_id, embedder.name, embedder.embed_dim, background),
        )
    return ensure_space(store, embedder)


def photo_in(change: Transaction, path: bytes) -> tuple[int, bytes] | None:
    """Id and content hash of the photograph that was in this file."""
    row: tuple[int, bytes] | None = change.connection.execute(
        "SELECT id, content_hash FROM photos WHERE path = ?", (path,)
    ).fetchone()
    return row


def photos_of_content(change: Transaction, content_hash: bytes) -> list[int]:
    """Ids of photographs with this content, of a hundred at the most: displaced ones first."""
    rows = change.connection.execute(
        "SELECT id FROM photos WHERE content_hash = ? ORDER BY path >= x'01', id LIMIT 100", (content_hash,)
    )
    return [photo for (photo,) in rows]


def add_photo(change: Transaction, root: int, file: FoundFile, read: ReadPhoto) -> int:
    """The id of a photograph of new content."""
    if read.facts is None:
        raise ValueError(f"{file.path!r} was read as known content, and no photograph has it")
    look = read.perceptual_hash
    values = (
        file.size,
        file.mtime_ns,
        read.content_hash,
        None if look is None else look - 2**64 if look >= 2**63 else look,  # SQLite's integers have a sign
        *astuple(read.facts),
    )
    places = ", ".join("?" * (len(values) + 3))
    (photo,) = change.connection.execute(
        f"INSERT INTO photos (root, path, serial, {PHOTO_COLUMNS}) VALUES ({places}) RETURNING id",
        (root, file.path, change.serial, *values),
    ).fetchone()
    add_thumbnail(change, photo, read)
    return int(photo)


def add_thumbnail(change: Transaction, photo: int, read: ReadPhoto) -> None:
    """Keeps a photograph's thumbnail, where one was made."""
    if read.thumbnail is not None:
        change.connection.execute(
            "INSERT OR REPLACE INTO thumbnails (photo, jpeg) VALUES (?, ?)", (photo, read.thumbnail)
        )


def copy_photo(change: Transaction, original: int, root: int, file: FoundFile) -> int:
    """The id of a photograph of the same content as another: with its facts, its thumbnail and its vectors."""
    columns = PHOTO_COLUMNS.removeprefix("size, mtime_ns, ")
    (photo,) = change.connection.execute(
        f"INSERT INTO photos (root, path, serial, size, mtime_ns, {columns}) "
        f"SELECT ?, ?, ?, ?, ?, {columns} FROM photos WHERE id = ? RETURNING id",
        (root, file.path, change.serial, file.size, file.mtime_ns, original),
    ).fetchone()
    change.connection.execute(
        "INSERT INTO thumbnails (photo, jpeg) SELECT ?, jpeg FROM thumbnails WHERE photo = ?", (photo, original)
    )
    for (space,) in change.connection.execute("SELECT id FROM spaces").fetchall():
        copy_vector(change, space, original, photo)
    return int(photo)


def put_photo(change: Transaction, photo: int, root: int, file: FoundFile) -> None:
    """Says that a photograph is in this file: it was moved there, or the file was written again as it was."""
    change.connection.execute(
        "UPDATE photos SET root = ?, path = ?, size = ?, mtime_ns = ?, serial = ? "
        "WHERE id = ? AND (root, path, size, mtime_ns) IS NOT (?, ?, ?, ?)",
        (root, file.path, file.size, file.mtime_ns, change.serial, photo, root, file.path, file.size, file.mtime_ns),
    )


def displace_photo(change: Transaction, photo: int) -> None:
    """Takes a photograph from its file, which has another content by now. It waits to be moved or removed."""
    change.connection.execute(
        "UPDATE photos SET path = ?, serial = ? WHERE id = ?", (DISPLACED + str(photo).encode(), change.serial, photo)
    )


def remove_photos(change: Transaction, photos: Iterable[int]) -> None:
    """Removes photographs with all that is kept of them. Their ids are never given again."""
    spaces = [space for (space,) in change.connection.execute("SELECT id FROM spaces")]
    ids = [(photo,) for photo in photos]
    change.connection.executemany("DELETE FROM thumbnails WHERE photo = ?", ids)
    for space in spaces:
        change.connection.executemany(f"DELETE FROM vectors WHERE space = {space:d} AND photo = ?", ids)
    change.connection.executemany("DELETE FROM photos WHERE id = ?", ids)
    change.connection.executemany(f"INSERT INTO gone (photo, serial) VALUES (?, {change.serial:d})", ids)


def add_vector(change: Transaction, space: int, photo: int, variant: str, vector: np.ndarray) -> None:
    """Keeps a photograph's unit vector (D,) in a space."""
    change.connection.execute(
        "INSERT OR REPLACE INTO vectors (space, photo, variant, vector, serial) VALUES (?, ?, ?, ?, ?)",
        (space, photo, variant, vector.astype("<f2").tobytes(), change.serial),
    )


def fill_vector(change: Transaction, space: int, photo: int, content_hash: bytes) -> None:
    """Gives a photograph that has no vector in a space the one of its content, if any photograph has it."""
    row = change.connection.execute(
        "SELECT photo FROM photos JOIN vectors ON space = ? AND photo = photos.id WHERE content_hash = ? "
        "ORDER BY photo <> ? LIMIT 1",
        (space, content_hash, photo),
    ).fetchone()
    if row and row[0] != photo:
        copy_vector(change, space, row[0], photo)


def copy_vector(change: Transaction, space: int, original: int, photo: int) -> None:
    """Gives a photograph the vector of another one of the same content, if that has one."""
    change.connection.execute(
        "INSERT OR REPLACE INTO vectors (space, photo, variant, vector, serial) "
        "SELECT space, ?, variant, vector, ? FROM vectors WHERE space = ? AND photo = ?",
        (photo, change.serial, space, original),
    )


def note_failure(change: Transaction, root: int, file: FoundFile, failure: Failure) -> None:
    """Keeps why a file could not be used, with its size and mtime: until these change it is not tried again."""
    change.connection.execute(
        "INSERT OR REPLACE INTO failures (path, root, size, mtime_ns, code, message) VALUES (?, ?, ?, ?, ?, ?)",
        (file.path, root, file.size, file.mtime_ns, failure.code, failure.message),
    )


def note_obstacle(change: Transaction, root: int, failure: Failure) -> None:
    """Keeps why a folder, or what could not even be looked at, was passed over. It is tried again at each update."""
    path = os.fsencode(Path(failure.source))
    note_failure(change, root, FoundFile(path, ALWAYS_AGAIN, 0), failure)


def forget_failures(change: Transaction, paths: Iterable[bytes]) -> None:
    change.connection.executemany("DELETE FROM failures WHERE path = ?", [(path,) for path in paths])


def keep_settings(change: Transaction, roots: Iterable[Root]) -> None:
    """Keeps what is to be passed over in roots, and whether thumbnails are made there."""
    change.connection.executemany(
        "UPDATE roots SET excludes = ?, thumbnails = ? WHERE id = ?",
        [(json.dumps(root.excludes), root.thumbnails, root.id) for root in roots],
    )


def mark_offline(change: Transaction, roots: Mapping[int, bool]) -> None:
    """Says of roots, by id, whether they are offline."""
    change.connection.executemany(
        "UPDATE roots SET offline = ? WHERE id = ?", [(offline, root) for root, offline in roots.items()]
    )
