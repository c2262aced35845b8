from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from clipwright.errors import IndexFileError
from clipwright.index.photo_columns import aligned_vectors, read_columns
from clipwright.index.schema import TABLES

ROW = "INSERT INTO photos VALUES (?, 1, ?, 9, 9, ?, ?, ?, ?, 'JPEG', 1, ?, ?, NULL, NULL, NULL, 1)"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "pictures of ? and #.db"
    connection = sqlite3.connect(path)
    connection.executescript(TABLES)
    connection.execute("INSERT INTO roots (id, path) VALUES (1, ?)", (b"/p",))
    rows = [
        (3, b"/p/a", bytes(16), -1, 400, 300, 12.5, "Nikon"),
        (5, b"/p/b", b"\1" + bytes(15), None, 30, 40, None, None),
        (9, b"/p/c", bytes(15) + b"\1", 7, 400, 300, 13.0, "Nikon"),
        (10, b"/p/d", bytes(16), -(2**63), 400, 300, 13.0, "Leica"),
    ]
    connection.executemany(ROW, rows)
    connection.commit()
    connection.close()
    return path


def test_columns_say_what_the_database_says(database: Path) -> None:
    photos = read_columns(database)
    assert photos.ids.tolist() == [3, 5, 9, 10]
    assert photos.hashes.tolist() == [2**64 - 1, 0, 7, 2**63]
    assert photos.width.tolist() == [400, 30, 400, 400]
    assert photos.height.tolist() == [300, 40, 300, 300]
    np.testing.assert_array_equal(photos.taken, [12.5, np.nan, 13, 13])
    assert photos.camera.tolist() == [0, -1, 0, 1]
    same = (photos.content[:, None] == photos.content[None]).all(axis=2)
    assert np.argwhere(np.triu(same, 1)).tolist() == [[0, 3]]


def test_reading_changes_nothing(database: Path) -> None:
    before = database.read_bytes()
    read_columns(database)
    assert database.read_bytes() == before


def test_a_database_without_photographs_has_empty_columns(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "empty.db")
    connection.executescript(TABLES)
    connection.close()
    assert len(read_columns(tmp_path / "empty.db")) == 0


@pytest.mark.parametrize("content", [None, b"not a database, but long enough to be taken for one" * 20])
def test_what_is_not_an_index_is_refused_and_not_made(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "lost.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(IndexFileError, match=r"lost\.db"):
        read_columns(path)
    assert path.exists() == (content is not None)


def test_vectors_are_found_by_id_whatever_their_order(database: Path) -> None:
    table = np.array([[9, 9], [3, 3], [77, 77], [10, 10]], np.float32)
    vectors = aligned_vectors(read_columns(database), np.array([9, 3, 77, 10]), lambda rows: table[rows], 2)
    assert vectors(np.array([3, 1, 0, 0])).tolist() == [[10, 10], [0, 0], [3, 3], [3, 3]]


def test_a_table_without_vectors_gives_zeros(database: Path) -> None:
    vectors = aligned_vectors(read_columns(database), np.empty(0, np.int64), lambda rows: np.empty((0, 2)), 2)
    assert vectors(np.array([0, 1])).tolist() == [[0, 0], [0, 0]]
