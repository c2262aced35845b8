"""A damaged database: what can be read lives on in a new one, and the old one is kept."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from clipwright.errors import DamagedIndexError
from clipwright.index.database import PAGE_SIZE
from clipwright.index.photo_index import PhotoIndex
from clipwright.index.salvage import salvage
from clipwright.index.store import Store
from tests.index.folders import colour_embedder, vector_of, vectors_by_path, write_photos

COUNT = 400


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    write_photos(folder, COUNT)
    return folder


@pytest.fixture(scope="module")
def sound(photographs: Path) -> bytes:
    """An index of COUNT photographs, closed."""
    database = photographs.parent / "sound.db"
    with PhotoIndex.open(database) as index:
        index.update([photographs], colour_embedder())
    return database.read_bytes()


@pytest.fixture
def database(tmp_path: Path, sound: bytes) -> Path:
    (tmp_path / "photos.db").write_bytes(sound)
    return tmp_path / "photos.db"


def overwrite(database: Path, pages: list[int], content: bytes | None = None) -> None:
    """Writes noise over pages, numbered from 0."""
    noise = random.Random(0)
    with database.open("rb+") as file:
        for page in pages:
            file.seek(page * PAGE_SIZE)
            file.write(content or noise.randbytes(PAGE_SIZE))


def pages_of(database: Path) -> int:
    return database.stat().st_size // PAGE_SIZE


def whole_again(database: Path, photographs: Path) -> bool:
    """Whether an update gives the index all its photographs, each with its own vector."""
    with PhotoIndex.open(database) as index:
        index.update([photographs], colour_embedder())
        assert index.facts().photographs == COUNT
    vectors = vectors_by_path(database)
    expected = {bytes(photographs / f"{number:04}.png"): vector_of(number) for number in range(COUNT)}
    return vectors.keys() == expected.keys() and all(
        np.allclose(vectors[path], vector, atol=2e-3) for path, vector in expected.items()
    )


def test_a_sound_database_is_salvaged_without_loss(database: Path, caplog: pytest.LogCaptureFixture) -> None:
    vectors = vectors_by_path(database)
    with Store.open(database) as store:
        photos, serial = store.photos(range(COUNT + 1)), store.serial()
    salvage(database)
    with Store.open(database) as store:
        assert store.photos(range(COUNT + 1)) == photos
        assert store.thumbnail(7) is not None
        assert store.serial() == serial + 1
    salvaged = vectors_by_path(database)
    assert all(np.array_equal(vectors[path], salvaged[path]) for path in vectors)
    assert f"{COUNT:,} photographs, {COUNT:,} vectors and {COUNT:,} thumbnails were salvaged; the old" in caplog.text


@pytest.mark.parametrize("seed", range(12))
def test_overwritten_pages_cost_only_what_was_on_them(
    database: Path, photographs: Path, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    rng = random.Random(seed)
    overwrite(database, rng.sample(range(1, pages_of(database)), 4), b"\0" * PAGE_SIZE if seed % 2 else None)
    damaged = database.read_bytes()
    (database.parent / "photos.db.derived").mkdir()
    kept = salvage(database)
    assert kept.read_bytes() == damaged
    assert str(kept) in caplog.text
    assert not (database.parent / "photos.db.derived").exists()
    with Store.open(database) as store, store.reading() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (known,) = connection.execute("SELECT COUNT(*) FROM photos").fetchone()
        (gone,) = connection.execute("SELECT COUNT(*) FROM gone").fetchone()
    assert known + gone == COUNT
    assert whole_again(database, photographs)


def test_every_single_page_but_the_first_can_be_lost(database: Path, photographs: Path, sound: bytes) -> None:
    most_lost = 0
    for page in range(1, min(pages_of(database), 24)):  # all roots of tables are among them
        database.write_bytes(sound)
        overwrite(database, [page])
        kept = salvage(database)
        with Store.open(database) as store, store.reading() as connection:
            (known,) = connection.execute("SELECT COUNT(*) FROM photos").fetchone()
        most_lost = max(most_lost, COUNT - known)
        kept.unlink()
    assert 0 < most_lost <= COUNT


def test_an_update_that_meets_damage_salvages_and_goes_on(
    database: Path, photographs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Store.open(database) as store, store.reading() as connection:
        (root_page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'photos_by_root'").fetchone()
    overwrite(database, [root_page - 1])
    assert whole_again(database, photographs)
    assert "was damaged" in caplog.text
    assert len(list(database.parent.glob("photos.db.damaged-*"))) == 1


def test_damage_that_a_reader_meets_is_salvaged_by_the_next_update(database: Path, photographs: Path) -> None:
    with Store.open(database) as store, store.reading() as connection:
        (root_page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'thumbnails'").fetchone()
    overwrite(database, [root_page - 1])
    with PhotoIndex.open(database, create=False) as index:
        with pytest.raises(DamagedIndexError, match="'clipwright index' salvages what can be read"):
            index.thumbnail(5)
        assert len(index.photos([1, 2])) == 2
    assert whole_again(database, photographs)
    with PhotoIndex.open(database) as index:
        assert index.thumbnail(5) is not None
    assert len(list(database.parent.glob("photos.db.damaged-*"))) == 1
    assert not (database.parent / "photos.db.damaged").exists()


@pytest.mark.parametrize("size", [100, PAGE_SIZE])
@pytest.mark.parametrize("content", [b"\0", b"\xa7"])
def test_a_lost_beginning_costs_nothing(database: Path, photographs: Path, size: int, content: bytes) -> None:
    with Store.open(database) as store:
        before = store.photos(range(COUNT + 1))
    with database.open("rb+") as file:
        file.write(content * size)
    with pytest.raises(DamagedIndexError):
        PhotoIndex.open(database, create=False)
    with PhotoIndex.open(database) as index:
        assert index.photos(range(COUNT + 1)) == before
    assert whole_again(database, photographs)
    assert not list(database.parent.glob(".clipwright-*"))


def test_settings_of_folders_are_salvaged(database: Path, photographs: Path) -> None:
    with PhotoIndex.open(database) as index:
        index.update([photographs], colour_embedder(), excludes=["0001.png"], thumbnails=False)
    salvage(database)
    with PhotoIndex.open(database) as index:
        (root,) = index.facts().roots
    assert (root.excludes, root.thumbnails) == (("0001.png",), False)


def test_settings_that_are_lost_with_their_folder_are_said_to_be(
    database: Path, photographs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Store.open(database) as store, store.writing() as change:
        change.connection.execute("UPDATE roots SET excludes = '[\"0001'")
    salvage(database)
    assert f"what was excluded in {photographs}, if anything, could not be read; exclude it again" in caplog.text
    assert whole_again(database, photographs)


def test_photographs_without_thumbnails_are_not_read_again_for_lost_ones(database: Path, photographs: Path) -> None:
    with PhotoIndex.open(database) as index:
        index.update([photographs], colour_embedder(), thumbnails=False)
    with Store.open(database) as store, store.reading() as connection:
        (root_page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'thumbnails'").fetchone()
    overwrite(database, [root_page - 1])
    salvage(database)
    assert len(vectors_by_path(database)) == COUNT


def test_a_file_that_was_cut_off_is_salvaged(database: Path, photographs: Path) -> None:
    with database.open("rb+") as file:
        file.truncate(pages_of(database) // 2 * PAGE_SIZE)
    assert whole_again(database, photographs)


def test_an_open_index_goes_on_with_the_salvaged_database(database: Path, photographs: Path) -> None:
    with PhotoIndex.open(database) as reader:
        reader.photos([1])
        with Store.open(database) as store, store.writing() as change:  # so that there is a log to tidy up
            change.connection.execute("UPDATE photos SET lens = 'new' WHERE id = 5")
        salvage(database)
        assert reader.photos([5])[0].facts.lens == "new"
        reader.update([photographs], colour_embedder())
    assert whole_again(database, photographs)
