"""An index among processes: killed, read while it is written, written by two, on a full disk."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from clipwright.index.photo_index import PhotoIndex
from clipwright.index.store import Store
from tests.index.folders import ColourBackend, as_nobody, colour_embedder, vectors_by_path, write_photos


def start(database: Path, folder: Path, *options: str) -> subprocess.Popen[str]:
    """A process that indexes a folder: see index_slowly."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.index.folders", str(database), str(folder), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    said = process.stdout.readline()
    assert said == f"{line}\n", process.communicate()


def is_sound(database: Path) -> bool:
    with Store.open(database) as store, store.reading() as connection:
        return bool(connection.execute("PRAGMA integrity_check").fetchone() == ("ok",))


@pytest.mark.slow
def test_killed_at_any_moment_it_loses_no_batch_that_was_kept(tmp_path: Path) -> None:
    folder, database = tmp_path / "folder", tmp_path / "photos.db"
    write_photos(folder, 4_000)
    rng = random.Random(0)
    kept: set[bytes] = set()
    for round_ in range(50):
        process = start(database, folder, "20")
        if round_ % 2:  # at any moment, starting and scanning counted
            time.sleep(rng.uniform(0.05, 0.45))
        else:
            wait_for(process, "begun")
            time.sleep(rng.uniform(0, 0.15))
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert is_sound(database)
        now = set(vectors_by_path(database))
        assert now >= kept
        kept = now
    assert 100 < len(kept) < 4_000
    backend = ColourBackend()
    with PhotoIndex.open(database) as index:
        counts = index.update([folder], colour_embedder(backend))
        assert backend.embedded == counts.added == 4_000 - len(kept)
        facts = index.facts()
    assert (facts.photographs, facts.spaces[0].vectors, facts.thumbnails) == (4_000, 4_000, 4_000)


def test_a_killed_indexer_loses_the_batch_in_flight_at_the_most(tmp_path: Path) -> None:
    folder, database = tmp_path / "folder", tmp_path / "photos.db"
    write_photos(folder, 80)
    process = start(database, folder, "line")
    wait_for(process, "begun")
    assert process.stdin is not None
    process.stdin.write("\n" * 3)
    process.stdin.flush()
    while len(vectors_by_path(database)) < 16:
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = len(vectors_by_path(database))
    assert kept in (16, 24)
    with PhotoIndex.open(database) as index:
        assert index.update([folder], colour_embedder()).added == 80 - kept
        assert index.facts().photographs == 80


def test_two_processes_read_while_one_indexes(tmp_path: Path) -> None:
    folder, database = tmp_path / "folder", tmp_path / "photos.db"
    write_photos(folder, 120)
    Store.open(database, create=True).close()
    reader = f"""
from pathlib import Path
from clipwright.index.photo_index import PhotoIndex
from clipwright.index.store import Store
store = Store.open(Path({str(database)!r}))
before = -1
while before < 120:
    found = len(store.photos(range(1, 121)))
    with store.reading() as connection:
        photos, vectors = connection.execute(
            "SELECT (SELECT COUNT(*) FROM photos), (SELECT COUNT(*) FROM vectors)").fetchone()
    assert photos == vectors and photos % 8 == 0 and before <= found <= photos, (before, found, photos, vectors)
    before = found
print("all")
"""
    writer = start(database, folder, "20")
    readers = [subprocess.Popen([sys.executable, "-c", reader], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert writer.communicate()[0] == "begun\ndone\n"
    assert [process.communicate()[0] for process in readers] == ["all\n", "all\n"]


def test_the_second_of_two_indexers_waits_and_says_for_whom(tmp_path: Path) -> None:
    database = tmp_path / "photos.db"
    write_photos(tmp_path / "one", 40)
    write_photos(tmp_path / "two", 16, first=100)
    second: list[subprocess.Popen[str]] = []

    def at_batch(embedded: int) -> None:
        if not embedded:
            second.append(start(database, tmp_path / "two", "0"))
            assert second[0].stderr is not None
            said = second[0].stderr.readline()
            assert f"the index is being changed by process {os.getpid()} on " in said

    with PhotoIndex.open(database) as index:
        index.update([tmp_path / "one"], colour_embedder(ColourBackend(at_batch)), batch_size=8)
        assert second[0].communicate()[0] == "begun\ndone\n"
        assert [root.photographs for root in index.facts().roots] == [40, 16]
    assert is_sound(database)


@pytest.mark.parametrize("limit", [200_000, 400_000, 800_000])
def test_a_full_disk_ends_in_one_clear_error_and_loses_nothing(tmp_path: Path, limit: int) -> None:
    folder, database = tmp_path / "folder", tmp_path / "photos.db"
    write_photos(folder, 8)
    with PhotoIndex.open(database) as index:
        index.update([folder], colour_embedder())
    write_photos(folder, 800)
    process = start(database, folder, "0", str(limit))
    said = process.communicate()[1]
    assert process.returncode != 0
    assert "OSError: [Errno" in said.splitlines()[-1]
    assert "what was indexed is kept" in said.splitlines()[-1]
    assert is_sound(database)
    kept = len(vectors_by_path(database))
    assert 8 <= kept < 800
    with PhotoIndex.open(database) as index:
        assert index.update([folder], colour_embedder()).added == 800 - kept
        assert index.facts().photographs == 800


def test_facts_count_what_lies_on_disk(tmp_path: Path) -> None:
    write_photos(tmp_path / "folder", 5)
    with PhotoIndex.open(tmp_path / "photos.db") as index:
        empty = index.facts()
        assert (empty.photographs, empty.roots, empty.spaces, empty.failures) == (0, (), (), {})
        index.update([tmp_path / "folder"], colour_embedder())
        facts = index.facts()
        derived = tmp_path / "photos.db.derived"
        derived.mkdir()
        (derived / "matrix").write_bytes(bytes(1000))
        assert index.facts().bytes_on_disk >= facts.bytes_on_disk + 1000
    assert (facts.photographs, facts.thumbnails, facts.offline) == (5, 5, 0)
    (space,) = facts.spaces
    assert (space.space_id, space.model, space.embed_dim, space.vectors) == ("colours", "model of colours", 4, 5)


def test_progress_counts_to_the_end(tmp_path: Path) -> None:
    write_photos(tmp_path / "folder", 20)
    told: list[tuple[int, int]] = []
    with PhotoIndex.open(tmp_path / "photos.db") as index:
        index.update(
            [tmp_path / "folder"],
            colour_embedder(),
            batch_size=8,
            progress=lambda done, total: told.append((done, total)),
        )
    assert told[0] == (0, 20)
    assert told[-1] == (20, 20)
    assert told == sorted(told)


def test_duplicates_are_found_where_nothing_may_be_written() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, database = Path(name, "folder"), Path(name, "photos.db")
        write_photos(folder, 3)
        shutil.copy(folder / "0001.png", folder / "again.png")
        with PhotoIndex.open(database) as index:
            index.update([folder], colour_embedder())
        Path(name).chmod(0o555)

        def look() -> None:
            with PhotoIndex.open(database, create=False) as index:
                (group,) = index.duplicates(["same file"])
                assert [photo.source.name for photo in index.photos(group.photos)] == ["0001.png", "again.png"]

        as_nobody(look)
        assert not Path(name, "photos.db-shm").exists()
