"""Spaces that are kept open between searches, and what is asked of them besides."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from clipwright.errors import IndexFileError, UnknownPhotoError
from clipwright.index import open_space
from clipwright.index.filters import Filters
from clipwright.index.open_space import OpenSpaces
from clipwright.index.photo_index import PhotoIndex
from clipwright.index.query import Query
from clipwright.index.query_parser import parse_query
from clipwright.index.searching import SearchOptions
from clipwright.index.vector_table import VectorTable
from tests.index.collection import SPACE_ID, Collection


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return Collection(tmp_path)


@pytest.fixture
def index(collection: Collection) -> Iterator[PhotoIndex]:
    with PhotoIndex.open(collection.database) as opened:
        yield opened


@pytest.fixture
def openings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The spaces whose tables were opened, as often as they were."""
    opened: list[str] = []

    class Counted(VectorTable):
        @classmethod
        def open(cls, database: Path, space_id: str) -> VectorTable:
            opened.append(space_id)
            return VectorTable.open(database, space_id)

    monkeypatch.setattr(open_space, "VectorTable", Counted)
    return opened


def test_a_table_is_opened_once_as_long_as_nothing_changes(
    collection: Collection, index: PhotoIndex, openings: list[str]
) -> None:
    first, *_ = collection.add(20)
    for _ in range(3):
        index.search(collection.query(), None)
        index.newest(5)
        index.facets()
        index.vector(first, SPACE_ID)
    assert openings == [SPACE_ID]
    (new,) = collection.add(1)
    assert index.search(collection.vectors[new].astype(np.float32), None, limit=1)[0].photo.id == new
    assert openings == [SPACE_ID] * 2


def test_another_database_in_the_place_of_one_is_noticed_even_if_it_is_as_old(
    collection: Collection, index: PhotoIndex, tmp_path: Path
) -> None:
    collection.add(3)
    (tmp_path / "b").mkdir()
    other = Collection(tmp_path / "b", seed=1)
    other.add(5)
    assert other.store.serial() == collection.store.serial()
    assert len(index.newest(10)) == 3
    for each in (other, collection):
        each.store.close()
        with contextlib.closing(sqlite3.connect(each.database)) as connection:  # so that the file is all there is
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.database.replace(collection.database)
    assert len(index.newest(10)) == 5
    assert len(index.search(collection.query(), None)) == 5


def test_many_threads_open_a_table_once(collection: Collection, openings: list[str]) -> None:
    collection.add(50)
    spaces = OpenSpaces(collection.store)
    with ThreadPoolExecutor(8) as threads:
        opened = list(threads.map(lambda _: spaces.space(SPACE_ID), range(64)))
    assert len(set(map(id, opened))) == len(openings) == 1


def test_the_newest_come_first_those_of_one_moment_by_id_and_those_without_a_date_last(
    collection: Collection, index: PhotoIndex
) -> None:
    when = [5.0, None, -7.0, 9.0, 5.0, None]
    ids = collection.add(6, [{"taken": moment} for moment in when])
    order = [ids[place] for place in (3, 0, 4, 2, 1, 5)]
    assert [photo.id for photo in index.newest(10)] == order
    assert [photo.id for photo in index.newest(2, 3)] == order[3:5]
    assert index.newest(5, 6) == []
    assert [photo.id for photo in index.newest(10, filters=Filters(after=5.0))] == order[:3]
    collection.remove(ids[3:4])
    assert [photo.id for photo in index.newest(10)] == order[1:]


def test_an_index_without_photographs_has_no_newest(collection: Collection, index: PhotoIndex) -> None:
    assert index.newest(10) == []
    with pytest.raises(IndexFileError):
        index.newest(10, space_id="another")


def test_vectors_that_were_made_elsewhere_find_the_same(collection: Collection, index: PhotoIndex) -> None:
    ids = collection.add(300)
    query = parse_query(f"words + photo:{ids[3]} AND NOT other words")
    vectors = {("words", "words"): collection.query(), ("words", "other words"): collection.query()}
    found = index.search_embedded(query, vectors, SPACE_ID, SearchOptions(limit=20))  # type: ignore[arg-type]
    assert len(found) == 20
    again = index.search_embedded(query, vectors, SPACE_ID, SearchOptions(limit=5, offset=10))  # type: ignore[arg-type]
    assert again == found[10:15]


def test_what_is_like_a_photograph_leaves_that_one_out(collection: Collection, index: PhotoIndex) -> None:
    ids = collection.add(30)
    by_id = index.search(None, None, like=ids[7], limit=29)
    options = SearchOptions(limit=29, without=ids[7])
    assert index.search_embedded(Query.like(ids[7]), {}, SPACE_ID, options) == by_id
    with pytest.raises(UnknownPhotoError, match="photo:999"):
        index.search_embedded(Query.like(999), {}, SPACE_ID, SearchOptions())


def test_a_photograph_brings_its_vector(collection: Collection, index: PhotoIndex) -> None:
    ids = collection.add(4)
    found = index.vector(ids[2], SPACE_ID)
    assert found is not None
    assert found.dtype == np.float32
    assert found == pytest.approx(collection.vectors[ids[2]].astype(np.float32))
    assert index.vector(999, SPACE_ID) is None
    with pytest.raises(IndexFileError):
        index.vector(ids[2], "another")
