"""An index that an earlier version wrote: read as it is, made one of this version by whoever changes it."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipwright.errors import IndexFileError
from clipwright.index import migrations
from clipwright.index.database import PAGE_SIZE, make
from clipwright.index.migrations import MIGRATIONS
from clipwright.index.photo_index import PhotoIndex
from clipwright.index.schema import VERSION
from clipwright.index.store import Store
from clipwright.index.update import UpdateCounts
from tests.index.folders import ColourBackend, as_nobody, colour_embedder, vector_of, vectors_by_path, write_photos
from tests.index.old_indexes import old_index


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Of version 1."""
    return old_index(tmp_path)


def asked(database: Path, sql: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


def version_of(database: Path) -> int:
    return int(asked(database, "PRAGMA user_version")[0][0])


def assert_whole(database: Path) -> None:
    """Of this version, with all that the old one held."""
    assert version_of(database) == VERSION
    assert asked(database, "PRAGMA integrity_check") == [("ok",)]
    vectors = vectors_by_path(database)
    expected = {os.fsencode(database.parent / "folder" / f"{number:04}.png"): number for number in range(3)}
    assert vectors.keys() == expected.keys()
    for path, number in expected.items():
        np.testing.assert_allclose(vectors[path], vector_of(number), atol=2e-3)
    assert asked(database, "SELECT COUNT(*) FROM thumbnails") == [(3,)]


def test_there_is_a_step_to_each_version() -> None:
    assert list(MIGRATIONS) == list(range(2, VERSION + 1))


def test_an_old_index_is_searched_and_told_of_as_it_is(old: Path) -> None:
    before = old.read_bytes()
    with PhotoIndex.open(old, create=False) as index:
        hits = index.search("a colour", colour_embedder(), limit=2)
        assert len(hits) == 2
        (root,) = index.facts().roots
        assert (root.photographs, root.excludes, root.thumbnails) == (3, (), True)
    assert old.read_bytes() == before
    assert version_of(old) == 1


def test_an_old_index_is_searched_where_nothing_may_be_written() -> None:
    with tempfile.TemporaryDirectory() as name:
        database = old_index(Path(name))
        Path(name).chmod(0o555)

        def look() -> None:
            with PhotoIndex.open(database) as index:
                assert len(index.search("a colour", colour_embedder())) == 3
                assert list(index.duplicates(["same file"])) == []
                assert index.facts().roots[0].excludes == ()

        as_nobody(look)
        assert version_of(database) == 1


def test_an_update_makes_it_one_of_this_version_and_reads_nothing_again(old: Path) -> None:
    folder, backend = old.parent / "folder", ColourBackend()
    with PhotoIndex.open(old) as index:
        assert index.update([], colour_embedder(backend)) == UpdateCounts(found=4, still_failing=1)
        assert backend.embedded == 0
        assert_whole(old)
        write_photos(folder, 1, first=50)
        assert index.update([], colour_embedder(), excludes=["0001.png"]).removed == 1
        added = index.photo_at(folder / "0050.png")
        assert added is not None
        assert added.id == 5  # 4 was given away before
        assert index.facts().roots[0].excludes == ("0001.png",)


def test_forgetting_a_folder_makes_it_one_of_this_version_too(old: Path) -> None:
    with PhotoIndex.open(old) as index:
        assert index.forget(old.parent / "folder") == 3
    assert version_of(old) == VERSION


def test_a_migrated_index_has_the_tables_of_a_new_one(old: Path, tmp_path: Path) -> None:
    """On the same pages too, by which a damaged one is known."""
    make(tmp_path / "new.db")
    with Store.open(old) as store:
        store.migrate()
    begins = "SELECT name, rootpage FROM sqlite_schema ORDER BY rootpage"
    assert asked(old, begins) == asked(tmp_path / "new.db", begins)
    for (table,) in asked(old, "SELECT name FROM sqlite_schema WHERE type = 'table'"):
        columns = f"PRAGMA table_info({table})"
        assert asked(old, columns) == asked(tmp_path / "new.db", columns), table


@pytest.mark.parametrize("is_killed", [True, False])
def test_stopped_in_the_middle_it_is_of_the_old_version_still(
    old: Path, is_killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(connection: sqlite3.Connection) -> None:
        MIGRATIONS[2](connection)
        if is_killed:
            os.kill(os.getpid(), signal.SIGKILL)
        raise ZeroDivisionError

    def migrate() -> None:
        monkeypatch.setattr(migrations, "MIGRATIONS", {2: stop})
        with Store.open(old) as store:
            store.migrate()

    if is_killed:
        child = os.fork()
        if not child:
            migrate()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    else:
        with pytest.raises(ZeroDivisionError):
            migrate()
        monkeypatch.undo()
    assert version_of(old) == 1
    assert len(asked(old, "PRAGMA table_info(roots)")) == 3
    with PhotoIndex.open(old) as index:
        index.update([], colour_embedder())
    assert_whole(old)


def test_several_that_migrate_at_once_do_it_once(old: Path) -> None:
    def migrate(_: int) -> None:
        with Store.open(old) as store:
            store.migrate()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, range(8)))
    assert_whole(old)


def test_one_that_is_open_while_it_is_migrated_goes_on(old: Path) -> None:
    with PhotoIndex.open(old, create=False) as reader:
        assert reader.roots()[0].excludes == ()
        with PhotoIndex.open(old) as index:
            index.update([], colour_embedder(), excludes=["0001.png"])
        assert reader.roots()[0].excludes == ("0001.png",)
        assert len(reader.search("a colour", colour_embedder())) == 2


def test_one_that_a_newer_clipwright_migrated_meanwhile_is_not_written(old: Path) -> None:
    with Store.open(old) as store:
        store.migrate()
        with contextlib.closing(sqlite3.connect(old)) as connection:
            connection.execute(f"PRAGMA user_version = {VERSION + 1}")
        with pytest.raises(IndexFileError, match="install a newer clipwright"), store.writing():
            pass


@pytest.mark.parametrize("page", range(19))
def test_a_damaged_old_index_is_salvaged_into_one_of_this_version(old: Path, page: int) -> None:
    with old.open("rb+") as file:
        file.seek(page * PAGE_SIZE)
        file.write(b"\xa7" * PAGE_SIZE)
    old.with_name("photos.db.damaged").touch()
    with PhotoIndex.open(old) as index:
        index.update([old.parent / "folder"], colour_embedder())
    assert_whole(old)
