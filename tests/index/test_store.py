"""The database: made, checked, read from everywhere, written in transactions."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from clipwright.errors import IndexFileError
from clipwright.index import changes
from clipwright.index.photo import PhotoFacts
from clipwright.index.reading import ReadPhoto
from clipwright.index.scan import FoundFile
from clipwright.index.schema import VERSION
from clipwright.index.store import Store
from tests.index.folders import as_nobody, colour_embedder, vector_of

FACTS = PhotoFacts(40, 30, "JPEG", 6, 1e9, "Camera", "Lens", 48.1, -11.5)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Of an empty index, photos.db."""
    with Store.open(tmp_path / "photos.db", create=True) as opened:
        yield opened


def add_photos(store: Store, count: int, first: int = 0) -> list[int]:
    """Photographs of one root, with vectors, in one transaction; their ids."""
    space = changes.ensure_space(store, colour_embedder())
    with store.writing() as change:
        change.connection.execute("INSERT OR IGNORE INTO roots (id, path) VALUES (1, '/p')")
        ids = []
        for number in range(first, first + count):
            read = ReadPhoto(number.to_bytes(16, "big"), FACTS, None, b"\xff\xd8small\xff\xd9", 2**64 - 1 - number)
            ids.append(changes.add_photo(change, 1, FoundFile(b"/p/%d" % number, 5, 7), read))
            changes.add_vector(change, space.id, ids[-1], "exact-fp32", vector_of(number))
    return ids


def test_photographs_come_back_as_they_were_written(store: Store) -> None:
    ids = add_photos(store, 5)
    photos = store.photos([ids[3], 999, ids[0]])
    assert [photo.path for photo in photos] == [b"/p/3", b"/p/0"]
    assert photos[0].facts == FACTS
    assert photos[0].perceptual_hash == 2**64 - 4
    assert (photos[0].size, photos[0].mtime_ns, photos[0].offline) == (5, 7, False)
    assert store.photo_at(Path("/p/3")) == photos[0]
    assert store.photo_at(Path("/p/77")) is None


def test_serials_tell_what_changed_since(store: Store) -> None:
    first = add_photos(store, 10)
    serial = store.serial()
    second = add_photos(store, 3, first=10)
    space = store.spaces()[0].id
    everything = list(store.vectors_since(space, 0, count=4))
    assert [len(ids) for ids, _ in everything] == [4, 4, 4, 1]
    assert np.concatenate([ids for ids, _ in everything]).tolist() == first + second
    np.testing.assert_allclose(everything[0][1][2], vector_of(2), atol=2e-3)
    assert [ids.tolist() for ids, _ in store.vectors_since(space, serial)] == [second]
    assert list(store.vectors_since(space, store.serial())) == []


def test_a_transaction_that_fails_leaves_nothing_behind(store: Store) -> None:
    add_photos(store, 2)
    before = store.serial()

    def fail() -> None:
        with store.writing() as change:
            changes.remove_photos(change, [1])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert store.serial() == before
    assert len(store.photos([1, 2])) == 2


def test_ids_of_removed_photographs_are_not_given_again(store: Store) -> None:
    ids = add_photos(store, 3)
    with store.writing() as change:
        changes.remove_photos(change, ids)
    assert min(add_photos(store, 1)) > max(ids)


def test_readers_see_one_moment_while_others_write(store: Store) -> None:
    ids = add_photos(store, 2)
    with store.reading() as connection:
        connection.execute("SELECT COUNT(*) FROM photos").fetchone()
        add_photos(store, 3, first=2)
        assert connection.execute("SELECT COUNT(*) FROM photos").fetchone() == (2,)
    assert len(store.photos(range(ids[0], ids[0] + 10))) == 5


def test_many_threads_read_while_one_writes(store: Store) -> None:
    add_photos(store, 2)
    stop = threading.Event()

    def read() -> int:
        rounds = 0
        while not stop.is_set():
            found = store.photos(range(1, 200))
            assert len(found) % 2 == 0  # a transaction adds two
            rounds += 1
        return rounds

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read) for _ in range(4)]
        for number in range(1, 40):
            add_photos(store, 2, first=2 * number)
        stop.set()
        assert all(reader.result() for reader in readers)
    assert len(store.photos(range(1, 200))) == 80


def test_two_that_make_an_index_at_once_get_the_same_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(lambda _: Store.open(tmp_path / "photos.db", create=True), range(8)))
    add_photos(stores[0], 3)
    assert all(store.serial() == stores[0].serial() for store in stores)
    for store in stores:
        store.close()


def test_an_index_that_was_never_finished_is_made_again(tmp_path: Path) -> None:
    database = tmp_path / "photos.db"
    connection = sqlite3.connect(database)  # killed after the first step
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    with pytest.raises(IndexFileError, match="is empty"):
        Store.open(database)
    with Store.open(database, create=True) as store:
        add_photos(store, 1)


def test_an_index_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(IndexFileError, match=r"nothing\.db does not exist; 'clipwright index FOLDER' makes one"):
        Store.open(tmp_path / "nothing.db")
    with pytest.raises(IndexFileError, match="is a folder"):
        Store.open(tmp_path)
    assert not (tmp_path / "nothing.db").exists()


@pytest.mark.parametrize("create", [True, False])
def test_a_newer_version_is_refused_and_left_alone(tmp_path: Path, create: bool) -> None:
    database = tmp_path / "photos.db"
    store = Store.open(database, create=True)
    with store.writing() as change:
        change.connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    store.close()
    before = database.read_bytes()
    with pytest.raises(IndexFileError, match=rf"has version {VERSION + 1} .* install a newer clipwright"):
        Store.open(database, create=create)
    assert database.read_bytes() == before


@pytest.mark.parametrize("create", [True, False])
def test_what_is_no_index_is_refused_and_left_alone(tmp_path: Path, create: bool) -> None:
    text = tmp_path / "diary.txt"
    text.write_text("Dear diary, today I indexed no photograph. " * 100)
    with pytest.raises(IndexFileError, match=r"diary\.txt is not an index of clipwright"):
        Store.open(text, create=create)
    assert text.read_text().startswith("Dear diary")
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    before = other.read_bytes()
    with pytest.raises(IndexFileError, match="is a database of another program"):
        Store.open(other, create=create)
    assert other.read_bytes() == before


@pytest.mark.parametrize("left_open", [True, False])
def test_an_index_can_be_read_where_nothing_may_be_written(left_open: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        store = Store.open(Path(name, "photos.db"), create=True)
        add_photos(store, 3)
        if not left_open:
            store.close()
        Path(name).chmod(0o555)

        def read() -> None:
            with Store.open(Path(name, "photos.db")) as reader:
                assert len(reader.photos([1, 2, 3])) == 3
                with pytest.raises(IndexFileError, match="permissions"), reader.writing():
                    pass

        as_nobody(read)
        store.close()


def test_a_new_index_where_none_can_be_written_is_refused_in_a_sentence() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name, "file").touch()
        Path(name).chmod(0o555)

        def make() -> None:
            for place in ("photos.db", "deeper/photos.db", "file/photos.db", "file/deeper/photos.db"):
                with pytest.raises(IndexFileError, match=r"photos\.db cannot be (opened|written).*look at the"):
                    Store.open(Path(name, place), create=True)

        as_nobody(make)


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("place", ["/dev/null", "/dev/full"])
def test_a_device_is_no_place_for_an_index(place: str, create: bool) -> None:
    with pytest.raises(IndexFileError, match="is no ordinary file; name a file"):
        Store.open(Path(place), create=create)


def test_an_open_index_notices_that_its_file_was_replaced(store: Store, tmp_path: Path) -> None:
    add_photos(store, 3)
    other = Store.open(tmp_path / "other.db", create=True)
    add_photos(other, 1)
    other.close()
    os.replace(tmp_path / "other.db", tmp_path / "photos.db")  # noqa: PTH105
    (tmp_path / "photos.db-wal").unlink()
    (tmp_path / "photos.db-shm").unlink()
    assert len(store.photos([1, 2, 3])) == 1
