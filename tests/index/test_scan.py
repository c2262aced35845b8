"""What a folder holds, as an index sees it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clipwright.errors import Failure
from clipwright.index.scan import FoundFile, PassedOver, file_time, scan
from clipwright.inputs import raw


def album(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def found(folder: Path, *excludes: str) -> list[str]:
    results = list(scan(os.fsencode(folder), excludes))
    assert all(isinstance(result, FoundFile) for result in results), results
    return [os.path.relpath(os.fsdecode(each.path), folder) for each in results if isinstance(each, FoundFile)]


def failures(folder: Path) -> list[Failure]:
    return [result for result in scan(os.fsencode(folder)) if isinstance(result, Failure)]


def test_files_come_with_what_the_file_system_says_of_them(tmp_path: Path) -> None:
    album(tmp_path, "a.jpg")
    os.utime(tmp_path / "a.jpg", ns=(1, 1_600_000_000_123_456_789))
    (file,) = scan(os.fsencode(tmp_path))
    assert file == FoundFile(os.fsencode(tmp_path / "a.jpg"), 5, 1_600_000_000_123_456_789)


@pytest.mark.parametrize(
    ("nanoseconds", "kept"),
    [(0, 0), (-1, -1), (2**63 - 1, 2**63 - 1), (2**63, 2**63 - 1), (10**21, 2**63 - 1), (-(2**63) - 1, -(2**63))],
)
def test_a_date_that_no_64_bits_hold_is_the_nearest_that_they_do(nanoseconds: int, kept: int) -> None:
    about = os.stat_result([0] * 10, {"st_mtime_ns": nanoseconds})
    assert file_time(about) == kept


def test_a_relative_root_gives_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    album(tmp_path, "in/a.jpg")
    monkeypatch.chdir(tmp_path)
    (file,) = scan(b"in")
    assert isinstance(file, FoundFile)
    assert file.path == os.fsencode(tmp_path / "in" / "a.jpg")


def test_pictures_come_by_name_and_those_of_folders_after_them(tmp_path: Path) -> None:
    album(tmp_path, "b.png", "a/z.JPG", "a/b/c.heic", "c.webp", "c/d.tif", "notes.txt", "film.mov", "jpg")
    assert found(tmp_path) == ["b.png", "c.webp", "a/z.JPG", "a/b/c.heic", "c/d.tif"]


def test_a_name_that_is_not_utf8_is_kept_as_it_is(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    Path(os.fsdecode(path)).touch()
    (file,) = scan(os.fsencode(tmp_path))
    assert isinstance(file, FoundFile)
    assert file.path == path


@pytest.mark.parametrize(
    "name",
    [
        ".hidden.jpg",
        "._a.jpg",
        ".thumbnails/a.png",
        "@eaDir/a.jpg/SYNOPHOTO_THUMB_XL.jpg",
        "#recycle/a.jpg",
        "$RECYCLE.BIN/S-1-5/a.jpg",
        "System Volume Information/a.jpg",
        "__MACOSX/a.jpg",
        "Catalog Previews.lrdata/1/a.jpg",
        "Photos Library.photoslibrary/resources/derivatives/a.jpeg",
        "Photos Library.photoslibrary/a.jpg",
        "Old.aplibrary/Thumbnails/a.jpg",
    ],
)
def test_what_is_hidden_or_another_systems_is_passed_over(tmp_path: Path, name: str) -> None:
    album(tmp_path, name, "kept.jpg")
    assert found(tmp_path) == ["kept.jpg"]


def test_originals_of_apples_libraries_are_found(tmp_path: Path) -> None:
    album(tmp_path, "Photos Library.photoslibrary/originals/0/a.heic", "Old.photolibrary/Masters/2009/b.jpg")
    assert len(found(tmp_path)) == 2


# Links


def test_a_linked_folder_is_followed(tmp_path: Path) -> None:
    album(tmp_path, "elsewhere/a.jpg", "root/b.jpg")
    (tmp_path / "root" / "link").symlink_to(tmp_path / "elsewhere")
    assert found(tmp_path / "root") == ["b.jpg", "link/a.jpg"]


def test_loops_of_links_end(tmp_path: Path) -> None:
    album(tmp_path, "root/deep/a.jpg", "root/b.jpg", "beside.jpg")
    (tmp_path / "root" / "deep" / "again").symlink_to(tmp_path / "root")
    (tmp_path / "root" / "self").symlink_to(tmp_path / "root" / "self")
    (tmp_path / "root" / "up").symlink_to(tmp_path)
    assert found(tmp_path / "root") == ["b.jpg", "deep/a.jpg", "up/beside.jpg"]


def test_a_link_to_a_folder_below_the_root_is_not_counted_twice(tmp_path: Path) -> None:
    """Whatever comes first by name: it is found where it lies."""
    album(tmp_path, "m/a.jpg")
    (tmp_path / "a link").symlink_to(tmp_path / "m")
    (tmp_path / "z link").symlink_to(tmp_path / "m")
    assert found(tmp_path) == ["m/a.jpg"]


def test_two_links_to_one_folder_elsewhere_are_one(tmp_path: Path) -> None:
    album(tmp_path, "elsewhere/a.jpg", "root/b.jpg")
    for name in ("one", "two"):
        (tmp_path / "root" / name).symlink_to(tmp_path / "elsewhere")
    assert found(tmp_path / "root") == ["b.jpg", "one/a.jpg"]


def test_a_linked_file_is_the_file(tmp_path: Path) -> None:
    album(tmp_path, "elsewhere/a.jpg", "root/b.jpg")
    (tmp_path / "root" / "c.jpg").symlink_to(tmp_path / "elsewhere" / "a.jpg")
    files = [file for file in scan(os.fsencode(tmp_path / "root")) if isinstance(file, FoundFile)]
    assert [file.size for file in files] == [len("root/b.jpg"), len("elsewhere/a.jpg")]


# What cannot be read


def test_a_folder_that_cannot_be_listed_is_a_failure_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a damaged disk; permissions would not stop a test that runs as root."""
    album(tmp_path, "a/a.jpg", "b/b.jpg", "c/c.jpg")
    listing = os.scandir

    def broken(path: bytes) -> object:
        if path.endswith(b"/b"):
            raise OSError(5, "Input/output error")
        return listing(path)

    monkeypatch.setattr(os, "scandir", broken)
    results = list(scan(os.fsencode(tmp_path)))
    assert [type(result) for result in results] == [FoundFile, Failure, FoundFile]
    assert results[1] == Failure(tmp_path / "b", "unreadable", "may not be read: Input/output error")


def test_a_root_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(scan(os.fsencode(tmp_path / "lost")))


def test_a_link_to_a_picture_that_is_gone_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to(tmp_path / "gone.jpg")
    assert [(failure.source, failure.code) for failure in failures(tmp_path)] == [(tmp_path / "a.jpg", "missing")]


def test_a_pipe_called_like_a_picture_is_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    assert found(tmp_path) == []


# Rules of what to leave out


def test_excludes_have_the_syntax_of_gitignore_and_are_relative_to_the_root(tmp_path: Path) -> None:
    album(tmp_path, "a.jpg", "a.png", "in/a.png", "work/b.jpg", "in/work/b.jpg")
    assert found(tmp_path, "*.png", "/work/") == ["a.jpg", "in/work/b.jpg"]


def test_a_folders_own_rules_hold_below_it_and_deeper_ones_win(tmp_path: Path) -> None:
    album(tmp_path, "a.png", "in/a.png", "in/keep/a.png", "in/keep/no/a.png")
    (tmp_path / "in" / ".clipwrightignore").write_text("*.png\n")
    (tmp_path / "in" / "keep" / ".clipwrightignore").write_text("!*.png\n/no\n")
    assert found(tmp_path) == ["a.png", "in/keep/a.png"]


def test_excludes_win_over_a_folders_own_rules(tmp_path: Path) -> None:
    album(tmp_path, "a.png", "b.jpg")
    (tmp_path / ".clipwrightignore").write_text("!*.png\n")
    assert found(tmp_path, "*.png") == ["b.jpg"]


def test_a_folder_is_not_looked_into_where_all_of_it_is_left_out(tmp_path: Path) -> None:
    album(tmp_path, "out/a.jpg", "out/b.jpg", "c.jpg")
    (tmp_path / ".clipwrightignore").write_text("out\n!out/a.jpg\n")
    assert found(tmp_path) == ["c.jpg"]


def test_rules_that_cannot_be_read_are_said_and_leave_nothing_out(tmp_path: Path) -> None:
    album(tmp_path, "a.jpg")
    (tmp_path / ".clipwrightignore").mkdir()
    failure, file = scan(os.fsencode(tmp_path))
    assert isinstance(failure, Failure)
    assert (failure.source, failure.code) == (tmp_path / ".clipwrightignore", "unreadable")
    assert isinstance(file, FoundFile)


# Raw files


@pytest.mark.parametrize("beside", ["IMG_1.JPG", "img_1.jpeg", "IMG_1.heic"])
def test_a_raw_file_beside_its_jpeg_is_counted_once(tmp_path: Path, beside: str) -> None:
    album(tmp_path, "IMG_1.CR2", beside, "other/IMG_1.CR2", "IMG_10.CR2")
    assert found(tmp_path) == [*sorted([beside, "IMG_10.CR2"]), "other/IMG_1.CR2"]


def test_a_raw_file_is_found_where_its_jpeg_is_left_out(tmp_path: Path) -> None:
    album(tmp_path, "IMG_1.CR2", "IMG_1.JPG")
    assert found(tmp_path, "*.JPG") == ["IMG_1.CR2"]


def test_without_the_extra_a_raw_file_without_jpeg_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw, "is_available", lambda: False)
    album(tmp_path, "IMG_1.CR2", "IMG_1.JPG", "IMG_2.NEF")
    jpeg, other = scan(os.fsencode(tmp_path))
    assert isinstance(jpeg, FoundFile)
    assert other == PassedOver(os.fsencode(tmp_path / "IMG_2.NEF"), ".nef")


# Other endings


def test_all_that_can_be_opened_is_found(tmp_path: Path) -> None:
    names = ["a.HIF", "b.heics", "c.avifs", "d.ppm", "e.apng", "f.dib", "g.jpf", "h.j2c", "i.insp", "j.PGM"]
    album(tmp_path, *names)
    assert found(tmp_path) == names


def test_what_looks_like_a_picture_and_cannot_be_opened_is_passed_over(tmp_path: Path) -> None:
    album(tmp_path, "a.PSD", "b.svg", "c.psd", ".d.psd", "out/e.psd", "notes.txt", "film.mp4", "g.pdf")
    assert list(scan(os.fsencode(tmp_path), ["out/"])) == [
        PassedOver(os.fsencode(tmp_path / name), suffix)
        for name, suffix in (("a.PSD", ".psd"), ("b.svg", ".svg"), ("c.psd", ".psd"))
    ]


def test_a_file_that_vanishes_while_its_folder_is_listed_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    album(tmp_path, "a.jpg", "b.jpg")
    files = scan(os.fsencode(tmp_path))
    next(files)
    (tmp_path / "b.jpg").unlink()
    failure = next(files)
    assert isinstance(failure, Failure)
    assert failure.code == "missing"
