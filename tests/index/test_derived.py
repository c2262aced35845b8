"""Derived files: whatever happens to them, searches find what the database holds."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clipwright.index import derived
from clipwright.index.array_file import ArrayFile, ArrayFileWriter
from clipwright.index.derived import derived_folder, refresh
from clipwright.index.filters import Filters
from clipwright.index.vector_table import VectorTable
from tests.index.collection import SPACE_ID, Collection


@pytest.fixture
def collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Collection:
    """400 photographs in the base and 60 in the tail, at sizes made small."""
    monkeypatch.setattr(derived, "EXACT_ROWS", 100)
    monkeypatch.setattr(derived, "_REFRESH_ROWS", 5)
    monkeypatch.setattr(derived, "_READER_ROWS", 30)
    monkeypatch.setattr(derived, "_LEAST_TAIL_ROWS", 100)
    collection = Collection(tmp_path)
    collection.add(400)
    refresh(collection.database, SPACE_ID)
    collection.add(50)
    collection.remove(range(10, 20))
    refresh(collection.database, SPACE_ID)
    assert {path.name for path in folder(collection).iterdir()} == {"base", "tail"}
    return collection


def folder(collection: Collection) -> Path:
    return derived_folder(collection.database, SPACE_ID)


def stamps(collection: Collection) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder(collection).iterdir()}


def assert_finds_what_is_there(collection: Collection) -> None:
    table = VectorTable.open(collection.database, SPACE_ID)
    assert sorted(table.ids.tolist()) == sorted(collection.vectors)
    query = collection.query()
    for exact in (False, True):
        indices, _ = table.nearest(query, 20, exact=exact)
        assert table.ids[indices].tolist() == collection.nearest(query, 20)
    wanted = sorted(id_ for id_, facts in collection.facts.items() if b"3" in facts["path"])
    mask = table.matching(Filters(path="*3*"))
    assert mask is not None
    assert sorted(table.ids[mask].tolist()) == wanted


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def flip_a_bit_everywhere(path: Path) -> None:
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    content[:: len(content) // 50] ^= 8
    path.write_bytes(content.tobytes())


def empty(path: Path) -> None:
    path.write_bytes(b"")


def overwrite(path: Path) -> None:
    path.write_bytes(os.urandom(5000))


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("name", ["base", "tail"])
@pytest.mark.parametrize("harm", [cut, flip_a_bit_everywhere, empty, overwrite, remove])
def test_a_damaged_file_is_made_again_and_gives_the_same_answers(
    collection: Collection, name: str, harm: Callable[[Path], None]
) -> None:
    harm(folder(collection) / name)
    assert_finds_what_is_there(collection)
    for path in folder(collection).iterdir():
        ArrayFile.open(path).check()
    before = stamps(collection)
    assert_finds_what_is_there(collection)
    assert stamps(collection) == before


def test_damage_in_the_matrix_is_found_by_the_next_refresh(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clipwright.index.array_file._CHECKED_BYTES", 0)  # so that all is large
    flip_a_bit = bytearray((folder(collection) / "base").read_bytes())
    flip_a_bit[5000] ^= 64
    (folder(collection) / "base").write_bytes(flip_a_bit)
    refresh(collection.database, SPACE_ID)
    assert_finds_what_is_there(collection)
    ArrayFile.open(folder(collection) / "base").check()


def test_what_came_changed_and_went_since_is_seen_at_once(collection: Collection) -> None:
    before = stamps(collection)
    collection.add(7)
    collection.replace([1, 2, 430])
    collection.remove([3, 440])
    collection.move(8, b"/elsewhere/3.jpg")
    assert_finds_what_is_there(collection)
    assert stamps(collection) == before


def test_a_search_writes_the_tail_anew_when_much_changed_and_leaves_the_base(collection: Collection) -> None:
    before = stamps(collection)
    collection.add(35)
    assert_finds_what_is_there(collection)
    after = stamps(collection)
    assert after["base"] == before["base"]
    assert after["tail"] != before["tail"]


def test_the_base_is_written_anew_when_the_tail_grows_too_large(collection: Collection) -> None:
    before = stamps(collection)
    collection.add(60)
    refresh(collection.database, SPACE_ID)
    assert stamps(collection).keys() == {"base"}
    assert stamps(collection)["base"] != before["base"]
    assert_finds_what_is_there(collection)


def test_a_refresh_with_nothing_new_writes_nothing(collection: Collection) -> None:
    before = stamps(collection)
    refresh(collection.database, SPACE_ID)
    assert stamps(collection) == before


def test_a_tail_of_another_base_is_not_used(collection: Collection, tmp_path: Path) -> None:
    kept = tmp_path / "old tail"
    shutil.copy(folder(collection) / "tail", kept)
    collection.replace(range(100, 250))
    refresh(collection.database, SPACE_ID)
    shutil.copy(kept, folder(collection) / "tail")
    assert_finds_what_is_there(collection)


def test_files_of_another_space_are_not_used(collection: Collection) -> None:
    collection.add_space("other")
    other = derived_folder(collection.database, "other")
    shutil.copytree(folder(collection), other)
    assert len(VectorTable.open(collection.database, "other")) == 0
    refresh(collection.database, "other")
    assert_finds_what_is_there(collection)


def test_files_of_another_version_of_clipwright_are_not_used(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ArrayFileWriter(folder(collection) / "base") as writer:
        writer.add({"ids": np.arange(9)})
        writer.finish({"serial": 1})
    assert_finds_what_is_there(collection)
    before = stamps(collection)
    monkeypatch.setattr(derived, "HEAD_BYTES", 32)
    VectorTable.open(collection.database, SPACE_ID)
    assert stamps(collection) != before


def test_files_of_a_newer_serial_are_not_used(collection: Collection) -> None:
    """As when the database alone is put back from a copy."""
    backup = collection.database.with_name("backup.db")
    with sqlite3.connect(backup) as copy:
        source = sqlite3.connect(collection.database)
        source.backup(copy)
        source.close()
    copy.close()
    kept = dict(collection.vectors), dict(collection.facts)
    collection.replace(range(50, 200))
    refresh(collection.database, SPACE_ID)
    collection.vectors, collection.facts = kept
    with sqlite3.connect(collection.database) as copy:
        source = sqlite3.connect(backup)
        source.backup(copy)
        source.close()
    copy.close()
    assert_finds_what_is_there(collection)


def test_files_of_a_database_that_was_made_anew_are_not_used(collection: Collection, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    anew = Collection(tmp_path / "new", seed=5)
    for _ in range(30):
        anew.add(15)
    assert anew.store.serial() > collection.store.serial()
    shutil.copytree(folder(collection), derived_folder(anew.database, SPACE_ID))
    assert_finds_what_is_there(anew)


def test_where_nothing_can_be_written_searches_work_in_memory(collection: Collection) -> None:
    shutil.rmtree(folder(collection).parent)
    folder(collection).parent.write_text("a file where the folder would be")
    assert_finds_what_is_there(collection)
    refresh(collection.database, SPACE_ID)
    assert_finds_what_is_there(collection)


@pytest.mark.skipif(os.name == "nt", reason="needs limits as Unix has them")
def test_where_the_disk_is_full_the_files_stay_as_they_were(collection: Collection) -> None:
    before = stamps(collection)
    collection.replace(range(100, 300))
    code = (
        "import resource, signal, sys\nfrom pathlib import Path\nfrom clipwright.index import derived\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "derived._REFRESH_ROWS, derived._LEAST_TAIL_ROWS = 5, 100\n"
        f"derived.refresh(Path(sys.argv[1]), {SPACE_ID!r})\n"
        f"assert len(derived.open_derived(Path(sys.argv[1]), {SPACE_ID!r}).segments) == 3\n"
    )
    subprocess.run([sys.executable, "-c", code, str(collection.database)], check=True)
    assert stamps(collection) == before
    assert_finds_what_is_there(collection)


@pytest.mark.skipif(os.name == "nt", reason="needs permissions as Unix has them")
def test_a_reader_who_may_not_write_finds_what_is_there(collection: Collection, tmp_path: Path) -> None:
    collection.add(70)
    code = (
        "import os, sys\nfrom pathlib import Path\nimport numkong, numpy as np\n"
        "from clipwright.index.vector_table import VectorTable\n"
        "if os.geteuid() == 0:\n    os.setgid(65534)\n    os.setuid(65534)\n"
        f"table = VectorTable.open(Path(sys.argv[1]), {SPACE_ID!r})\n"
        "print(len(table), *table.ids[table.nearest(np.load(sys.argv[2]), 5)[0]])\n"
    )
    query = collection.query()
    np.save(tmp_path / "query.npy", query)
    before = stamps(collection)
    del collection.store
    paths = [tmp_path, *tmp_path.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    above = [parent for parent in tmp_path.parents if not parent.stat().st_mode & 0o001]
    modes = {parent: parent.stat().st_mode for parent in above}
    for parent in above:
        parent.chmod(0o755)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, str(collection.database), str(tmp_path / "query.npy")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        for path in paths:
            path.chmod(0o755 if path.is_dir() else 0o644)
        for parent, mode in modes.items():
            parent.chmod(mode)
    assert done.returncode == 0, done.stderr
    assert [int(number) for number in done.stdout.split()] == [len(collection.vectors), *collection.nearest(query, 5)]
    assert stamps(collection) == before


def test_processes_that_open_and_refresh_at_once_all_find_what_is_there(collection: Collection) -> None:
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from clipwright.index import derived\nfrom clipwright.index.vector_table import VectorTable\n"
        "derived._REFRESH_ROWS, derived._READER_ROWS, derived._LEAST_TAIL_ROWS = 0, 3, 40\n"
        f"database, space_id = Path(sys.argv[1]), {SPACE_ID!r}\n"
        "lowest = 0\n"
        "while not (database.parent / 'stop').exists():\n"
        "    if sys.argv[2] == 'refresh':\n        derived.refresh(database, space_id)\n"
        "    table = VectorTable.open(database, space_id)\n"
        "    ids = set(table.ids.tolist())\n"
        "    assert len(ids) == len(table), 'one photograph twice'\n"
        "    assert max(ids) >= lowest, 'a photograph that was there is lost'\n"
        "    lowest = max(ids)\n"
        "    rows = table.rows(range(len(table)))\n"
        "    assert ((rows ** 2).sum(axis=1) > 0.99).all(), 'a row that is none'\n"
        "print(lowest)\n"
    )
    arguments = [sys.executable, "-W", "error", "-c", code, str(collection.database)]
    others = [
        subprocess.Popen([*arguments, what], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for what in ("refresh", "refresh", "open")
    ]
    try:
        for _ in range(25):
            added = collection.add(4)
            collection.remove(added[:1])
            time.sleep(0.02)
    finally:
        (collection.database.parent / "stop").touch()
        results = [other.communicate(timeout=60) for other in others]
    assert [(other.returncode, errors) for other, (_, errors) in zip(others, results, strict=True)] == [(0, "")] * 3
    assert_finds_what_is_there(collection)
    assert not list(folder(collection).glob(".clipwright-*"))


def test_a_table_that_is_open_stays_as_it_was(collection: Collection) -> None:
    table = VectorTable.open(collection.database, SPACE_ID)
    ids, query = table.ids.copy(), collection.query()
    before = table.nearest(query, 10)
    collection.replace(range(100, 300))
    refresh(collection.database, SPACE_ID)
    assert np.array_equal(table.ids, ids)
    assert np.array_equal(table.nearest(query, 10)[0], before[0])
