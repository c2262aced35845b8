"""The incremental update: what is new, changed, moved, copied, gone, broken, offline."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from clipwright.errors import Failure, IndexFileError
from clipwright.index.photo_index import PhotoIndex
from clipwright.index.store import Store
from clipwright.index.update import UpdateCounts
from clipwright.inputs import raw
from tests.index.folders import (
    ColourBackend,
    as_nobody,
    colour_embedder,
    vector_of,
    vectors_by_path,
    write_photo,
    write_photos,
)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[PhotoIndex]:
    with PhotoIndex.open(tmp_path / "photos.db") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten photographs, numbers 0 to 9."""
    write_photos(tmp_path / "folder", 10)
    return tmp_path / "folder"


def update(index: PhotoIndex, *folders: Path, batch_size: int = 4) -> tuple[UpdateCounts, int]:
    """What an update did, and how many pictures the model saw."""
    backend = ColourBackend()
    counts = index.update(folders, colour_embedder(backend), batch_size=batch_size)
    return counts, backend.embedded


def serial_of(index: PhotoIndex) -> int:
    with Store.open(index.database) as store:
        return store.serial()


def id_at(index: PhotoIndex, path: Path) -> int:
    photo = index.photo_at(path)
    assert photo is not None, path
    return photo.id


def assert_in_line(index: PhotoIndex, expected: dict[Path, int]) -> None:
    """These photographs are in the index, with the vectors of their numbers, and no others."""
    vectors = vectors_by_path(index.database)
    assert set(vectors) == {os.fsencode(path) for path in expected}
    for path, number in expected.items():
        np.testing.assert_allclose(vectors[os.fsencode(path)], vector_of(number), atol=2e-3)
    assert index.facts().photographs == len(expected)


def numbered(folder: Path, count: int = 10) -> dict[Path, int]:
    return {folder / f"{number:04}.png": number for number in range(count)}


def test_each_photograph_gets_its_own_vector_and_facts(index: PhotoIndex, folder: Path) -> None:
    counts, _ = update(index, folder)
    assert counts == UpdateCounts(found=10, added=10, embedded=10)
    assert_in_line(index, numbered(folder))
    photo = index.photo_at(folder / "0003.png")
    assert photo is not None
    assert (photo.facts.width, photo.facts.height, photo.facts.format) == (12, 9, "PNG")
    thumbnail = index.thumbnail(photo.id)
    assert thumbnail is not None
    assert thumbnail.startswith(b"\xff\xd8")


def test_an_update_without_changes_reads_and_writes_nothing(index: PhotoIndex, folder: Path) -> None:
    (folder / "broken.jpg").write_text("no picture")
    update(index, folder)
    before = serial_of(index)
    counts, embedded = update(index, folder)
    assert counts == UpdateCounts(found=11, still_failing=1)
    assert embedded == 0
    assert serial_of(index) == before


class Overflowing(ColourBackend):
    """Has no vector for photographs without red."""

    def image_features(self, pixels: np.ndarray) -> np.ndarray:
        features = super().image_features(pixels)
        features[features[:, 0] == -1] = np.inf
        return features


def test_a_photograph_without_a_finite_vector_is_not_kept_and_tried_again(index: PhotoIndex, folder: Path) -> None:
    failures: list[Failure] = []
    counts = index.update([folder], colour_embedder(Overflowing()), on_failure=failures.append)
    assert counts == UpdateCounts(found=10, added=9, embedded=9, failed=1)
    assert [(failure.source, failure.code) for failure in failures] == [(folder / "0000.png", "unreadable")]
    assert_in_line(index, {path: number for path, number in numbered(folder).items() if number})
    assert update(index, folder)[0] == UpdateCounts(found=10, added=1, embedded=1)
    assert_in_line(index, numbered(folder))


def test_a_model_that_overflows_takes_nothing_from_another(index: PhotoIndex, folder: Path) -> None:
    update(index, folder)
    counts = index.update([folder], colour_embedder(Overflowing(), space_id="other"))
    assert (counts.embedded, counts.failed, counts.removed) == (9, 1, 0)
    assert_in_line(index, numbered(folder))
    assert len(vectors_by_path(index.database, "other")) == 9
    assert update(index, folder) == (UpdateCounts(found=10), 0)


def test_thumbnails_can_be_left_out(index: PhotoIndex, folder: Path) -> None:
    index.update([folder], colour_embedder(), thumbnails=False)
    assert index.thumbnail(id_at(index, folder / "0000.png")) is None
    assert index.facts().thumbnails == 0


def test_a_changed_file_is_embedded_again(index: PhotoIndex, folder: Path) -> None:
    update(index, folder)
    write_photo(folder / "0003.png", 300)
    counts, embedded = update(index, folder)
    assert counts == UpdateCounts(found=10, changed=1, embedded=1)
    assert embedded == 1
    assert_in_line(index, {**numbered(folder), folder / "0003.png": 300})


def test_a_changed_file_loses_the_vectors_of_its_old_content_in_all_spaces(index: PhotoIndex, folder: Path) -> None:
    update(index, folder)
    index.update([folder], colour_embedder(space_id="other"))
    write_photo(folder / "0003.png", 300)
    update(index, folder)
    assert len(vectors_by_path(index.database, "colours")) == 10
    assert os.fsencode(folder / "0003.png") not in vectors_by_path(index.database, "other")


def test_a_file_that_was_only_touched_is_not_embedded_and_keeps_its_id(index: PhotoIndex, folder: Path) -> None:
    update(index, folder)
    before = id_at(index, folder / "0003.png")
    os.utime(folder / "0003.png", ns=(1, 1))
    counts, embedded = update(index, folder)
    assert (counts, embedded) == (UpdateCounts(found=10), 0)
    photo = index.photo_at(folder / "0003.png")
    assert photo is not None
    assert (photo.id, photo.mtime_ns) == (before, 1)
    assert update(index, folder)[0] == UpdateCounts(found=10)


@pytest.mark.parametrize("seconds", [16_725_225_600, 2**40, -11_644_473_600])
def test_a_file_dated_beyond_64_bits_of_nanoseconds_is_one_like_others(
    index: PhotoIndex, folder: Path, seconds: int
) -> None:
    """2500, 36812, and 1601, where Windows begins to count. Some disks keep the nearest date that they can."""

    def date(*names: str) -> None:
        for name in names:
            os.utime(folder / name, ns=(0, seconds * 10**9))

    (folder / "broken.png").write_text("no picture")
    date("0003.png", "broken.png")
    assert update(index, folder)[0] == UpdateCounts(found=11, added=10, embedded=10, failed=1)
    assert update(index, folder)[0] == UpdateCounts(found=11, still_failing=1)
    write_photo(folder / "0003.png", 0)  # of another size
    date("0003.png")
    assert update(index, folder)[0].changed == 1


def test_moved_and_renamed_files_keep_their_ids_and_are_not_embedded(index: PhotoIndex, folder: Path) -> None:
    update(index, folder)
    before = [id_at(index, path) for path in numbered(folder)]
    (folder / "aaa").mkdir()  # is scanned before its parent's absence of the file could be known
    new = {folder / "aaa" / f"new {number}.png": number for number in range(10)}
    for old, to in zip(numbered(folder), new, strict=True):
        old.rename(to)
    counts, embedded = update(index, folder)
    assert (counts, embedded) == (UpdateCounts(found=10, moved=10), 0)
    assert [id_at(index, path) for path in new] == before
    assert_in_line(index, new)


def test_files_that_change_names_with_each_other_are_not_embedded(index: PhotoIndex, folder: Path) -> None:
    for number in range(10):  # sizes alone do not tell one from another, so times must
        os.utime(folder / f"{number:04}.png", ns=(number, number))
    update(index, folder)
    before = {number: id_at(index, path) for path, number in numbered(folder).items()}
    for number in range(9, -1, -1):
        (folder / f"{number:04}.png").rename(folder / f"{number + 1:04}.png")
    counts, embedded = update(index, folder)
    assert (counts, embedded) == (UpdateCounts(found=10, moved=10), 0)
    after = {folder / f"{number + 1:04}.png": number for number in range(10)}
    assert_in_line(index, after)
    assert {number: id_at(index, path) for path, number in after.items()} == before
    assert update(index, folder)[0] == UpdateCounts(found=10)


def test_a_file_moved_to_another_root_keeps_its_id(index: PhotoIndex, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "a folder before"
    write_photos(other, 1, first=50)
    update(index, folder, other)
    before = id_at(index, folder / "0003.png")
    (folder / "0003.png").rename(other / "0003.png")
    counts, embedded = update(index, folder, other)
    assert (counts, embedded) == (UpdateCounts(found=11, moved=1), 0)
    assert id_at(index, other / "0003.png") == before


def test_a_copied_file_gets_the_vectors_of_its_original(index: PhotoIndex, folder: Path) -> None:
    update(index, folder)
    shutil.copy(folder / "0003.png", folder / "copy.png")
    counts, embedded = update(index, folder)
    assert (counts, embedded) == (UpdateCounts(found=11, copied=1), 0)
    assert_in_line(index, {**numbered(folder), folder / "copy.png": 3})
    original, copy = index.photo_at(folder / "0003.png"), index.photo_at(folder / "copy.png")
    assert original is not None
    assert copy is not None
    assert (copy.facts, copy.content_hash) == (original.facts, original.content_hash)
    assert index.thumbnail(copy.id) == index.thumbnail(original.id)


def test_photographs_of_deleted_files_go(index: PhotoIndex, folder: Path) -> None:
    update(index, folder)
    gone = id_at(index, folder / "0003.png")
    (folder / "0003.png").unlink()
    counts, _ = update(index, folder)
    assert counts == UpdateCounts(found=9, removed=1)
    assert index.photos([gone]) == []
    assert index.thumbnail(gone) is None
    with Store.open(index.database) as store, store.reading() as connection:
        assert [photo for (photo,) in connection.execute("SELECT photo FROM gone")] == [gone]


def test_names_that_are_not_utf_8_are_kept_to_the_byte(index: PhotoIndex, folder: Path) -> None:
    name = os.fsencode(folder) + b"/caf\xe9.png"
    write_photo(name, 77)
    update(index, folder)
    photo = index.photo_at(Path(os.fsdecode(name)))
    assert photo is not None
    assert photo.path == name
    assert photo.source.read_bytes().startswith(b"\x89PNG")
    assert update(index, folder)[0] == UpdateCounts(found=11)


# Failures


def test_bad_files_never_stop_the_rest_nor_shift_their_vectors(index: PhotoIndex, folder: Path) -> None:
    for number, content in itertools.product(range(10), (b"", b"no picture")):
        (folder / f"{number:04}{len(content)}.jpg").write_bytes(content)
    told: list[Failure] = []
    counts = index.update([folder], colour_embedder(), batch_size=4, on_failure=told.append)
    assert counts == UpdateCounts(found=30, added=10, embedded=10, failed=20)
    assert_in_line(index, numbered(folder))
    assert sorted(index.failures(), key=str) == sorted(told, key=str)
    assert index.facts().failures == {"empty": 10, "not_an_image": 10}


def test_a_failure_is_tried_again_only_when_its_file_changes(index: PhotoIndex, folder: Path) -> None:
    broken = folder / "broken.png"
    broken.write_text("no picture")
    assert update(index, folder)[0].failed == 1
    told: list[Failure] = []
    counts = index.update([folder], colour_embedder(), on_failure=told.append)
    assert (counts.failed, counts.still_failing, told) == (0, 1, [])
    os.utime(broken, ns=(5, 5))
    assert update(index, folder)[0].failed == 1
    write_photo(broken, 40)
    counts, _ = update(index, folder)
    assert (counts.added, counts.failed, counts.still_failing) == (1, 0, 0)
    assert list(index.failures()) == []


def test_a_failure_is_forgotten_with_its_file(index: PhotoIndex, folder: Path) -> None:
    (folder / "broken.png").write_text("no picture")
    update(index, folder)
    (folder / "broken.png").unlink()
    update(index, folder)
    assert list(index.failures()) == []


def test_a_photograph_whose_file_breaks_is_found_no_more(index: PhotoIndex, folder: Path) -> None:
    update(index, folder)
    (folder / "0003.png").write_bytes((folder / "0003.png").read_bytes()[:40])
    counts, _ = update(index, folder)
    assert (counts.failed, counts.removed) == (1, 0)
    assert index.photo_at(folder / "0003.png") is None
    assert len(vectors_by_path(index.database)) == 9
    write_photo(folder / "0003.png", 3)
    update(index, folder)
    assert_in_line(index, numbered(folder))


def test_files_that_vanish_or_change_while_they_are_indexed_stand_in_nobodys_way(
    index: PhotoIndex, folder: Path
) -> None:
    write_photos(folder, 30, first=10)

    def at_batch(embedded: int) -> None:
        if not embedded:
            (folder / "0037.png").unlink()
            write_photo(folder / "0038.png", 1038)

    told: list[Failure] = []
    counts = index.update([folder], colour_embedder(ColourBackend(at_batch)), batch_size=4, on_failure=told.append)
    assert [(failure.source, failure.code) for failure in told] == [(folder / "0037.png", "missing")]
    assert counts.added == 39
    assert list(index.failures()) == []
    update(index, folder)
    expected = {**numbered(folder, 40), folder / "0038.png": 1038}
    del expected[folder / "0037.png"]
    assert_in_line(index, expected)


def test_files_that_may_not_be_read_are_tried_again_without_a_change() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        write_photos(Path(name, "folder"), 2)
        secret = Path(name, "folder", "0001.png")
        secret.chmod(0)

        def refused() -> None:
            with PhotoIndex.open(Path(name, "photos.db")) as index:
                counts = index.update([Path(name, "folder")], colour_embedder())
                assert (counts.added, counts.failed) == (1, 1), counts

        def allowed() -> None:
            with PhotoIndex.open(Path(name, "photos.db")) as index:
                counts = index.update([Path(name, "folder")], colour_embedder())
                assert (counts.added, counts.failed, list(index.failures())) == (1, 0, []), counts

        as_nobody(refused)
        about = secret.stat()
        secret.chmod(0o644)
        assert secret.stat().st_mtime_ns == about.st_mtime_ns
        as_nobody(allowed)


def test_a_folder_that_cannot_be_read_loses_nothing() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        folder = Path(name, "folder")
        write_photos(folder / "below" / "deep", 3)
        write_photos(folder, 2, first=10)

        def first() -> None:
            with PhotoIndex.open(Path(name, "photos.db")) as index:
                index.update([folder], colour_embedder())

        def refused() -> None:
            with PhotoIndex.open(Path(name, "photos.db")) as index:
                for failed, still in ((1, 0), (0, 1)):
                    counts = index.update([folder], colour_embedder())
                    assert (counts.removed, counts.failed, counts.still_failing) == (0, failed, still), counts
                assert index.facts().photographs == 5
                assert [failure.source for failure in index.failures()] == [folder / "below"]

        def allowed() -> None:
            with PhotoIndex.open(Path(name, "photos.db")) as index:
                assert index.update([folder], colour_embedder()).removed == 0
                assert list(index.failures()) == []

        as_nobody(first)
        (folder / "below").chmod(0)
        as_nobody(refused)
        (folder / "below").chmod(0o755)
        as_nobody(allowed)


def test_what_looks_like_a_picture_and_is_not_read_is_counted_by_ending(index: PhotoIndex, folder: Path) -> None:
    write_photos(folder / ".inner", 1, first=20)
    for name in ("a.psd", "B.PSD", "c.svg", "notes.txt", ".inner/d.xcf", "below/e.jxl"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    expected = {".psd": 2, ".svg": 1, ".jxl": 1}
    assert update(index, folder)[0] == UpdateCounts(found=10, added=10, embedded=10, passed_over=expected)
    assert update(index, folder / "below")[0].passed_over == {".jxl": 1}
    update(index, folder / ".inner")
    assert update(index)[0] == UpdateCounts(found=11, passed_over={**expected, ".xcf": 1})


def test_a_photograph_that_could_be_opened_before_stays(
    index: PhotoIndex, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where an index of raw files is brought up to date without the extra that reads them."""
    for number in range(10):
        (folder / f"{number:04}.png").rename(folder / f"{number:04}.nef")
    assert update(index, folder)[0].added == 10
    monkeypatch.setattr(raw, "is_available", lambda: False)
    (folder / "0009.nef").unlink()
    (folder / "new.nef").touch()
    assert update(index, folder)[0] == UpdateCounts(found=9, removed=1, passed_over={".nef": 10})
    assert index.facts().photographs == 9
    monkeypatch.undo()
    assert update(index, folder)[0].failed == 1


# Going on after a stop


def test_what_was_embedded_before_an_interrupt_is_kept(index: PhotoIndex, folder: Path) -> None:
    write_photos(folder, 30, first=10)

    def at_batch(embedded: int) -> None:
        if embedded == 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index.update([folder], colour_embedder(ColourBackend(at_batch)), batch_size=8)
    assert len(vectors_by_path(index.database)) == 16
    counts, embedded = update(index, folder)
    assert (counts.added, embedded) == (24, 24)
    assert_in_line(index, numbered(folder, 40))


def test_an_update_stopped_in_the_midst_of_renaming_goes_on(index: PhotoIndex, folder: Path) -> None:
    update(index, folder)
    for number in range(9, -1, -1):
        (folder / f"{number:04}.png").rename(folder / f"{number + 1:04}.png")
    write_photo(folder / "0000.png", 500)  # embedded first, so that the rest comes in a later batch

    def at_progress(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index.update([folder], colour_embedder(), batch_size=5, progress=at_progress)
    assert update(index, folder)[1] == 0
    after = {folder / f"{number + 1:04}.png": number for number in range(10)}
    assert_in_line(index, {**after, folder / "0000.png": 500})


# Several models


def test_another_model_embeds_what_lacks_it_and_leaves_the_first_ones_vectors(index: PhotoIndex, folder: Path) -> None:
    update(index, folder)
    shutil.copy(folder / "0003.png", folder / "copy.png")
    backend = ColourBackend()
    counts = index.update([folder], colour_embedder(backend, "other"))
    assert (backend.embedded, counts.embedded) == (11, 11)
    assert counts.copied == 1
    assert len(vectors_by_path(index.database, "other")) == 11
    assert_in_line(index, {**numbered(folder), folder / "copy.png": 3})
    assert [(space.space_id, space.vectors) for space in index.facts().spaces] == [("colours", 11), ("other", 11)]
    assert index.update([folder], colour_embedder(space_id="other")).embedded == 0


def test_a_change_of_variant_embeds_nothing_again(index: PhotoIndex, folder: Path) -> None:
    update(index, folder)
    write_photos(folder, 1, first=20)
    backend = ColourBackend()
    index.update([folder], colour_embedder(backend, pixels="fast"))
    assert backend.embedded == 1
    assert index.facts().spaces[0].variants == {"exact-fp32": 10, "fast-fp32": 1}


def test_a_space_keeps_the_background_captions(index: PhotoIndex, folder: Path) -> None:
    update(index, folder)
    with Store.open(index.database) as store, store.reading() as connection:
        (background,) = connection.execute("SELECT background FROM spaces").fetchone()
    rows = np.frombuffer(background, "<f2").reshape(-1, 4)
    assert len(rows) > 50
    np.testing.assert_allclose(np.linalg.norm(rows.astype(np.float32), axis=1), 1, atol=1e-3)


# Roots


@pytest.mark.parametrize("unplugged", ["missing", "empty"])
def test_an_unplugged_root_keeps_its_photographs_and_comes_back(
    index: PhotoIndex, folder: Path, tmp_path: Path, unplugged: str
) -> None:
    other = tmp_path / "other"
    write_photos(other, 3, first=20)
    update(index, folder, other)
    before = id_at(index, folder / "0003.png")
    folder.rename(tmp_path / "elsewhere")
    if unplugged == "empty":
        folder.mkdir()
    counts, _ = update(index)
    assert counts == UpdateCounts(found=3, offline=(folder,))
    facts = index.facts()
    assert (facts.photographs, facts.offline) == (13, 10)
    photo = index.photo_at(folder / "0003.png")
    assert photo is not None
    assert photo.offline
    assert not index.photos([id_at(index, other / "0020.png")])[0].offline
    if unplugged == "empty":
        folder.rmdir()
    (tmp_path / "elsewhere").rename(folder)
    (folder / "0004.png").unlink()
    counts, embedded = update(index)
    assert (counts, embedded) == (UpdateCounts(found=12, removed=1), 0)
    assert index.facts().offline == 0
    assert id_at(index, folder / "0003.png") == before


def test_a_disk_unplugged_while_it_is_indexed_loses_nothing(index: PhotoIndex, folder: Path, tmp_path: Path) -> None:
    update(index, folder)
    (folder / "0004.png").unlink()
    write_photos(folder, 30, first=10)

    def at_batch(embedded: int) -> None:
        if embedded == 8:
            folder.rename(tmp_path / "elsewhere")
            folder.mkdir()

    counts = index.update([folder], colour_embedder(ColourBackend(at_batch)), batch_size=4)
    assert counts.offline == (folder,)
    assert counts.removed == 0
    assert list(index.failures()) == []
    assert counts.added >= 8
    assert index.facts().photographs == 10 + counts.added
    folder.rmdir()
    (tmp_path / "elsewhere").rename(folder)
    update(index)
    expected = numbered(folder, 40)
    del expected[folder / "0004.png"]
    assert_in_line(index, expected)


def test_what_lies_behind_a_link_to_an_unplugged_disk_stays(index: PhotoIndex, folder: Path, tmp_path: Path) -> None:
    write_photos(tmp_path / "disk" / "trip", 3, first=20)
    (folder / "disk").symlink_to(tmp_path / "disk")
    update(index, folder)
    (tmp_path / "disk").rename(tmp_path / "drawer")
    assert update(index, folder)[0].removed == 0
    assert index.facts().photographs == 13


@pytest.mark.parametrize("order", [("", "trip"), ("trip", "")])
def test_a_folder_below_a_root_is_part_of_it_whichever_came_first(
    index: PhotoIndex, folder: Path, order: tuple[str, str]
) -> None:
    write_photos(folder / "trip", 3, first=20)
    for name in order:
        update(index, folder / name)
    facts = index.facts()
    assert [(root.path, root.photographs) for root in facts.roots] == [(folder, 13)]
    assert update(index, folder, folder / "trip")[0] == UpdateCounts(found=13)
    assert update(index)[0] == UpdateCounts(found=13)


def test_an_update_of_a_folder_below_a_root_looks_at_nothing_else(index: PhotoIndex, folder: Path) -> None:
    write_photos(folder / "trip", 3, first=20)
    update(index, folder)
    (folder / "0003.png").unlink()
    (folder / "trip" / "0020.png").unlink()
    write_photos(folder, 1, first=30)
    write_photos(folder / "trip", 1, first=40)
    assert update(index, folder / "trip")[0] == UpdateCounts(found=3, added=1, embedded=1, removed=1)
    assert update(index, folder)[0] == UpdateCounts(found=13, added=1, embedded=1, removed=1)


def test_a_hidden_folder_that_was_named_is_a_root_of_its_own(index: PhotoIndex, folder: Path) -> None:
    write_photos(folder / ".private", 3, first=20)
    update(index, folder)
    assert update(index, folder / ".private")[0].added == 3
    assert update(index, folder)[0] == UpdateCounts(found=13)
    assert [root.photographs for root in index.facts().roots] == [10, 3]


def test_a_root_below_another_is_offline_on_its_own(index: PhotoIndex, folder: Path) -> None:
    write_photos(folder / ".disk", 3, first=20)
    update(index, folder)
    update(index, folder / ".disk")
    shutil.rmtree(folder / ".disk")
    assert update(index, folder)[0] == UpdateCounts(found=10, offline=(folder / ".disk",))
    assert index.facts().photographs == 13


def test_a_root_known_by_another_name_is_not_counted_twice(index: PhotoIndex, folder: Path, tmp_path: Path) -> None:
    write_photos(folder / "trip", 3, first=20)
    update(index, folder)
    (tmp_path / "link").symlink_to(folder)
    assert update(index, tmp_path / "link")[0] == UpdateCounts(found=13)
    assert update(index, tmp_path / "link" / "trip")[0] == UpdateCounts(found=3)
    assert [root.path for root in index.facts().roots] == [folder]


def test_a_folder_that_is_none_is_refused_by_name(index: PhotoIndex, folder: Path) -> None:
    with pytest.raises(IndexFileError, match=r"nowhere does not exist"):
        update(index, folder, folder / ".." / "nowhere")
    with pytest.raises(IndexFileError, match=r"0003\.png is no folder"):
        update(index, folder / "0003.png")
    with pytest.raises(IndexFileError, match="has no folders yet"):
        update(index)


# Settings of a root


def excluding(
    index: PhotoIndex, *folders: Path, excludes: list[str] | None, thumbnails: bool | None = None
) -> UpdateCounts:
    return index.update(folders, colour_embedder(), excludes=excludes, thumbnails=thumbnails)


def test_what_is_excluded_stays_so_until_it_is_said_otherwise(index: PhotoIndex, folder: Path) -> None:
    update(index, folder)
    assert excluding(index, folder, excludes=["0001.png", "/0002*"]) == UpdateCounts(found=8, removed=2)
    before = serial_of(index)
    assert update(index, folder)[0] == UpdateCounts(found=8)
    with PhotoIndex.open(index.database) as opened_anew:
        assert update(opened_anew)[0] == UpdateCounts(found=8)
        assert opened_anew.facts().roots[0].excludes == ("0001.png", "/0002*")
    assert excluding(index, folder, excludes=["0001.png", "/0002*"]) == UpdateCounts(found=8)
    assert serial_of(index) == before
    assert excluding(index, folder, excludes=[]).added == 2
    assert index.facts().roots[0].excludes == ()


def test_other_patterns_take_the_place_of_earlier_ones_which_is_said(
    index: PhotoIndex, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    excluding(index, folder, excludes=["0001.png", "0002.png"])
    caplog.clear()
    assert excluding(index, folder, excludes=["0002.png", "0003.png"]) == UpdateCounts(
        found=8, added=1, embedded=1, removed=1
    )
    place = "the new patterns take the place of the old ones; no longer excluded: 0001.png"
    assert caplog.messages == [f"{folder}: {place}"]
    excluding(index, folder, excludes=[])  # which says it itself
    assert len(caplog.messages) == 1


def test_each_root_has_settings_of_its_own(index: PhotoIndex, folder: Path, tmp_path: Path) -> None:
    write_photos(tmp_path / "other", 3, first=20)
    excluding(index, folder, excludes=["*[0-4].png"])
    excluding(index, tmp_path / "other", excludes=None, thumbnails=False)
    assert update(index)[0] == UpdateCounts(found=8)
    first, second = index.facts().roots
    assert (first.excludes, first.thumbnails) == (("*[0-4].png",), True)
    assert (second.excludes, second.thumbnails) == ((), False)
    assert excluding(index, excludes=["0022.png"]) == UpdateCounts(found=12, added=5, embedded=5, removed=1)
    assert [root.excludes for root in index.facts().roots] == [("0022.png",)] * 2


def test_whether_thumbnails_are_kept_is_remembered(index: PhotoIndex, folder: Path) -> None:
    index.update([folder], colour_embedder(), thumbnails=False)
    write_photos(folder, 1, first=20)
    update(index)
    assert index.facts().thumbnails == 0
    write_photos(folder, 1, first=30)
    index.update([folder], colour_embedder(), thumbnails=True)
    write_photos(folder, 1, first=40)
    update(index, folder)
    assert index.facts().thumbnails == 2  # what is there already is not read again


def test_part_of_a_root_has_no_settings_of_its_own(index: PhotoIndex, folder: Path) -> None:
    write_photos(folder / "trip", 3, first=20)
    excluding(index, folder, excludes=["0001.png"])
    before = serial_of(index)
    settings: list[tuple[list[str] | None, bool | None]] = [(["*.png"], None), ([], None), (None, False)]
    for excludes, thumbnails in settings:
        with pytest.raises(IndexFileError, match=r"trip belongs to .*folder, which has settings as a whole"):
            excluding(index, folder / "trip", excludes=excludes, thumbnails=thumbnails)
    assert serial_of(index) == before
    write_photos(folder / "trip", 1, first=1)
    assert update(index, folder / "trip")[0] == UpdateCounts(found=3)  # which has those of the whole
    assert excluding(index, folder / "trip", folder, excludes=["0001.png"]) == UpdateCounts(found=12)


def test_a_root_with_settings_stays_one_when_a_folder_around_it_is_given(index: PhotoIndex, folder: Path) -> None:
    write_photos(folder / "trip", 3, first=20)
    write_photos(folder / "walk", 3, first=30)
    excluding(index, folder / "trip", excludes=["0021.png"])
    update(index, folder / "walk")
    assert update(index, folder)[0] == UpdateCounts(found=15, added=10, embedded=10)
    assert [(root.path.name, root.photographs) for root in index.facts().roots] == [("folder", 13), ("trip", 2)]
    excluding(index, folder, excludes=["0031.png"])
    assert [root.excludes for root in index.facts().roots] == [("0031.png",), ("0021.png",)]


def test_where_all_is_excluded_the_photographs_go_and_nothing_is_offline(index: PhotoIndex, folder: Path) -> None:
    update(index, folder)
    assert excluding(index, folder, excludes=["*.png"]) == UpdateCounts(removed=10)
    excluding(index, folder, excludes=[])
    shutil.rmtree(folder)
    folder.mkdir()
    assert excluding(index, folder, excludes=["*.png"]) == UpdateCounts(offline=(folder,))
    assert index.facts().photographs == 10


# Forgetting


def test_forgetting_a_root_or_a_folder_of_it_removes_its_photographs(index: PhotoIndex, folder: Path) -> None:
    write_photos(folder / "trip", 3, first=20)
    write_photos(folder.parent / "folder2", 2, first=30)
    update(index, folder, folder.parent / "folder2")
    assert index.forget(folder / "trip") == 3
    assert_in_line(index, {**numbered(folder), **{folder.parent / "folder2" / f"{n:04}.png": n for n in (30, 31)}})
    (folder / "broken.png").write_text("no picture")
    update(index, folder)
    assert index.forget(folder) == 13
    assert [root.path for root in index.facts().roots] == [folder.parent / "folder2"]
    assert index.facts().photographs == 2
    assert list(index.failures()) == []
    with pytest.raises(IndexFileError, match="knows nothing of"):
        index.forget(folder)


def test_an_offline_root_can_be_forgotten(index: PhotoIndex, folder: Path) -> None:
    update(index, folder)
    shutil.rmtree(folder)
    update(index)
    assert index.forget(folder) == 10
    assert index.facts().roots == ()
