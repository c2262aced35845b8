from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from clipwright.errors import Failure
from clipwright.inputs import raw
from clipwright.inputs.photo_paths import find_photos


def album(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(folder: Path) -> list[str]:
    photos = list(find_photos([folder]))
    return [photo.relative_to(folder).as_posix() for photo in photos if isinstance(photo, Path)]


def test_files_are_taken_as_they_are_named() -> None:
    """Whether they can be opened is found out when they are."""
    named = [Path("b.txt"), Path("missing.jpg"), Path("./a.png")]
    assert list(find_photos(named)) == named


def test_raw_files_are_found_but_not_beside_their_jpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    album(tmp_path, "IMG_1.CR2", "IMG_1.JPG", "IMG_2.NEF")
    assert found(tmp_path) == ["IMG_1.JPG", "IMG_2.NEF"]
    monkeypatch.setattr(raw, "is_available", lambda: False)
    assert found(tmp_path) == ["IMG_1.JPG"]


def test_pictures_of_a_folder_come_by_name_and_those_of_its_folders_after_them(tmp_path: Path) -> None:
    album(tmp_path, "b.jpg", "a.png", "trip/2.heic", "trip/1.webp", "art/x.avif", "art/deep/y.tif")
    assert found(tmp_path) == ["a.png", "b.jpg", "art/x.avif", "art/deep/y.tif", "trip/1.webp", "trip/2.heic"]


def test_the_ending_may_be_in_capitals(tmp_path: Path) -> None:
    album(tmp_path, "IMG_1.JPG", "IMG_2.Heic", "IMG_3.HIF")
    assert found(tmp_path) == ["IMG_1.JPG", "IMG_2.Heic", "IMG_3.HIF"]


def test_what_looks_like_a_picture_and_is_not_read_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    album(tmp_path, "one/a.jpg", "one/b.PSD", "one/deep/c.psd", "one/.d.psd", "two/e.svg", "two/f.png", "two/notes.txt")
    assert len(list(find_photos([tmp_path / "one", tmp_path / "two", tmp_path / "two" / "e.svg"]))) == 3
    assert caplog.messages == ["passed over: 2 .psd, 1 .svg (not read by clipwright)"]


def test_a_folder_that_has_nothing_else_is_said_to(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    album(tmp_path, "a.psd", "b.psd")
    message = "a folder without pictures; passed over: 2 .psd (not read by clipwright)"
    assert list(find_photos([tmp_path])) == [Failure(tmp_path, "no_pictures", message)]
    assert caplog.messages == []


def test_other_files_are_passed_over(tmp_path: Path) -> None:
    album(tmp_path, "a.jpg", "a.jpg.txt", "notes.pdf", "jpg", "film.mp4")
    assert found(tmp_path) == ["a.jpg"]


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    album(tmp_path, "a.jpg", "._a.jpg", ".thumbnails/b.jpg", "trip/.c.jpg")
    assert found(tmp_path) == ["a.jpg"]


def test_a_hidden_folder_that_is_named_is_searched(tmp_path: Path) -> None:
    album(tmp_path / ".hidden", "a.jpg")
    assert found(tmp_path / ".hidden") == ["a.jpg"]


def test_a_folder_without_pictures_is_a_failure(tmp_path: Path) -> None:
    album(tmp_path, "notes.txt", "sub/more.txt")
    assert list(find_photos([tmp_path])) == [Failure(tmp_path, "no_pictures", "a folder without pictures")]


def test_an_empty_folder_does_not_stop_what_comes_after_it(tmp_path: Path) -> None:
    album(tmp_path, "full/a.jpg")
    (tmp_path / "empty").mkdir()
    first, second = find_photos([tmp_path / "empty", tmp_path / "full"])
    assert isinstance(first, Failure)
    assert second == tmp_path / "full" / "a.jpg"


def test_a_folder_named_like_a_picture_is_a_folder(tmp_path: Path) -> None:
    album(tmp_path, "album.jpg/a.png")
    assert found(tmp_path) == ["album.jpg/a.png"]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    album(tmp_path, "a.jpg")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert found(tmp_path) == ["a.jpg"]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_links_to_pictures_are_taken(tmp_path: Path) -> None:
    album(tmp_path, "originals/a.jpg")
    album(tmp_path / "album", "b.jpg")
    (tmp_path / "album" / "a.jpg").symlink_to(tmp_path / "originals" / "a.jpg")
    assert found(tmp_path / "album") == ["a.jpg", "b.jpg"]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are UTF-8 elsewhere")
def test_a_name_that_is_not_utf8_is_found(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    album(tmp_path, name)
    assert found(tmp_path) == [name]
