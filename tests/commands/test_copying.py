from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from clipwright.commands.copying import Outcome, copy_to, link_to, make_folder
from clipwright.errors import ClipwrightError

PlaceAll = Callable[[Path, Iterable[Path]], Iterator[tuple[Path, Outcome]]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_folder(tmp_path / "chosen" / "here", "--copy-to")
    return tmp_path / "chosen" / "here"


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_copies_keep_name_and_time(tmp_path: Path, folder: Path) -> None:
    photo = written(tmp_path / "a.jpg", "a")
    os.utime(photo, (1_000_000, 1_000_000))
    assert list(copy_to(folder, [photo])) == [(photo, "placed")]
    assert contents(folder) == {"a.jpg": "a"}
    assert (folder / "a.jpg").stat().st_mtime == 1_000_000


def test_photographs_of_one_name_stand_beside_each_other(tmp_path: Path, folder: Path) -> None:
    photos = [written(tmp_path / name / "a.b.jpg", name) for name in ("one", "two", "three")]
    assert all(outcome == "placed" for _, outcome in copy_to(folder, photos))
    assert contents(folder) == {"a.b.jpg": "one", "a.b (2).jpg": "two", "a.b (3).jpg": "three"}


@pytest.mark.parametrize("place", [copy_to, link_to])
def test_what_was_there_stays_as_it_was(place: PlaceAll, tmp_path: Path, folder: Path) -> None:
    written(folder / "a.jpg", "mine")
    (folder / "a (2).jpg").mkdir()
    (folder / "a (3).jpg").symlink_to(tmp_path / "nowhere")
    photo = written(tmp_path / "a.jpg", "other")
    assert list(place(folder, [photo])) == [(photo, "placed")]
    assert (folder / "a.jpg").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()
    assert (folder / "a (4).jpg").read_text() == "other"


def test_again_changes_nothing_and_says_so(tmp_path: Path, folder: Path) -> None:
    photos = [written(tmp_path / name / "a.jpg", name) for name in ("one", "two")]
    for expected in ("placed", "there"):
        assert [outcome for _, outcome in copy_to(folder, photos)] == [expected] * 2
    assert contents(folder) == {"a.jpg": "one", "a (2).jpg": "two"}
    other = folder.parent / "links"
    make_folder(other, "--link-to")
    for expected in ("placed", "there"):
        assert [outcome for _, outcome in link_to(other, photos)] == [expected] * 2
    assert {path.name: path.readlink() for path in other.iterdir()} == {"a.jpg": photos[0], "a (2).jpg": photos[1]}


@pytest.mark.parametrize("place", [copy_to, link_to])
def test_one_that_is_gone_does_not_stop_the_rest(place: PlaceAll, tmp_path: Path, folder: Path) -> None:
    lost, photo = tmp_path / "lost.jpg", written(tmp_path / "a.jpg", "a")
    results = dict(place(folder, [lost, photo]))
    assert isinstance(results[lost], FileNotFoundError)
    assert results[photo] == "placed"
    assert contents(folder) == {"a.jpg": "a"}


def test_a_copy_that_fails_leaves_nothing_behind(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    ((_, error),) = copy_to(folder, [written(tmp_path / "a.jpg", "a")])
    assert isinstance(error, OSError)
    assert error.errno == 28
    assert not list(folder.iterdir())


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ClipwrightError, match="is a file; name a folder"):
        make_folder(written(tmp_path / "file", ""), "--copy-to")
    with pytest.raises(ClipwrightError, match="is a file; name a folder"):
        make_folder(tmp_path / "file" / "below", "--copy-to")
