"""Following folders."""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipwright.index import watch
from clipwright.index.photo_index import PhotoIndex
from clipwright.index.update import UpdateCounts
from tests.index.folders import colour_embedder, write_photos

SECONDS = 60
"""After which a notice that does not come is a failure; no measure of speed."""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_QUIET_MS", 50)
    monkeypatch.setattr(watch, "_LOOK_MS", 200)


@pytest.fixture
def watched(tmp_path: Path, quick: None) -> Iterator[queue.Queue[UpdateCounts]]:
    """What updates did, of a folder with two photographs at first."""
    write_photos(tmp_path / "folder", 2)
    told: queue.Queue[UpdateCounts] = queue.Queue()
    stop = threading.Event()
    with PhotoIndex.open(tmp_path / "photos.db") as index:
        thread = threading.Thread(
            target=index.watch,
            args=([tmp_path / "folder"], colour_embedder()),
            kwargs={"on_update": told.put, "stop": stop},
        )
        thread.start()
        try:
            yield told
        finally:
            stop.set()
            thread.join()


def test_photographs_that_come_and_go_are_followed(tmp_path: Path, watched: queue.Queue[UpdateCounts]) -> None:
    folder = tmp_path / "folder"
    assert watched.get(timeout=SECONDS).added == 2
    write_photos(tmp_path / "card", 3, first=10)
    shutil.move(tmp_path / "card", folder / "card")
    assert watched.get(timeout=SECONDS) == UpdateCounts(found=5, added=3, embedded=3)
    (folder / "card" / "0011.png").rename(folder / "better name.png")
    assert watched.get(timeout=SECONDS) == UpdateCounts(found=5, moved=1)
    shutil.rmtree(folder / "card")
    assert watched.get(timeout=SECONDS) == UpdateCounts(found=3, removed=2)


def test_its_own_files_and_others_wake_nobody(tmp_path: Path, watched: queue.Queue[UpdateCounts]) -> None:
    assert watched.get(timeout=SECONDS).added == 2
    database = tmp_path / "folder" / "photos.db"
    (tmp_path / "folder" / "notes.txt").write_text("x")
    for name in ("photos.db", "photos.db-wal", "photos.db.lock", ".hidden.png", "notes.txt"):
        assert not watch._may_matter(str(tmp_path / "folder" / name), database)
    for name in ("a.jpg", "A.JPG", "b.cr2", ".clipwrightignore", "a folder that went"):
        assert watch._may_matter(str(tmp_path / "folder" / name), database)


def test_a_disk_that_is_plugged_in_again_is_noticed(tmp_path: Path, watched: queue.Queue[UpdateCounts]) -> None:
    folder = tmp_path / "folder"
    assert watched.get(timeout=SECONDS).added == 2
    folder.rename(tmp_path / "drawer")
    assert watched.get(timeout=SECONDS).offline == (folder,)
    write_photos(tmp_path / "drawer", 1, first=30)
    (tmp_path / "drawer").rename(folder)
    assert watched.get(timeout=SECONDS).added == 1


def test_patterns_that_others_give_meanwhile_hold(tmp_path: Path, quick: None) -> None:
    """Those that it was begun with are kept once, and not again with each update."""
    folder, stop = tmp_path / "folder", threading.Event()
    write_photos(folder, 3)
    told: queue.Queue[UpdateCounts] = queue.Queue()
    with PhotoIndex.open(tmp_path / "photos.db") as index:
        thread = threading.Thread(
            target=index.watch,
            args=([folder], colour_embedder()),
            kwargs={"excludes": ["0001.png"], "on_update": told.put, "stop": stop},
        )
        thread.start()
        try:
            assert told.get(timeout=SECONDS).added == 2
            with PhotoIndex.open(tmp_path / "photos.db") as other:
                assert other.update([], colour_embedder(), excludes=["0002.png"]).added == 1
            write_photos(folder, 1, first=20)
            assert told.get(timeout=SECONDS) == UpdateCounts(found=3, added=1, embedded=1)
            assert index.facts().roots[0].excludes == ("0002.png",)
        finally:
            stop.set()
            thread.join()


def test_a_rule_that_comes_takes_its_photographs_out(tmp_path: Path, watched: queue.Queue[UpdateCounts]) -> None:
    assert watched.get(timeout=SECONDS).added == 2
    (tmp_path / "folder" / ".clipwrightignore").write_text("0001.png\n")
    assert watched.get(timeout=SECONDS) == UpdateCounts(found=1, removed=1)
