from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clipwright.atomic import making_folder, remove_leftovers, replacing


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_the_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with replacing(path) as temporary:
        temporary.write_bytes(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a.bin"]


def test_the_old_file_is_there_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with replacing(path) as temporary:
        temporary.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("problem", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("a bug")])
@pytest.mark.parametrize("before", [["a.bin"], []])
def test_when_the_block_fails_all_stays_as_it_was(before: list[str], problem: BaseException, tmp_path: Path) -> None:
    for name in before:
        (tmp_path / name).write_bytes(b"old")

    def write() -> None:
        with replacing(tmp_path / "a.bin") as temporary:
            temporary.write_bytes(b"half of the n")
            raise problem

    with pytest.raises(type(problem)):
        write()
    assert names(tmp_path) == before
    assert all((tmp_path / name).read_bytes() == b"old" for name in before)


def test_a_block_that_writes_nothing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert path.read_bytes() == b"old"


def test_a_folder_that_is_missing_is_an_error_of_the_writer(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "nowhere" / "a.bin") as temporary:
        temporary.write_bytes(b"new")


def test_the_temporary_file_lies_beside_the_file_and_is_hidden(tmp_path: Path) -> None:
    """Beside it, because a file cannot be moved in one step from another disk."""
    with replacing(tmp_path / "a.bin") as temporary:
        temporary.write_bytes(b"new")
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")


def test_a_writer_that_is_killed_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    code = f"""
from pathlib import Path
from clipwright.atomic import remove_leftovers, replacing
with replacing(Path({str(path)!r})) as temporary, temporary.open("wb") as file:
    file.write(b"half of the n")
    file.flush()
    print("half", flush=True)
    input()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline().strip() == b"half"
        writer.kill()
    assert writer.returncode != 0
    assert path.read_bytes() == b"old"


def test_what_killed_writers_left_can_be_removed(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.bin") as temporary:
        temporary.write_bytes(b"first")
    temporary.write_bytes(b"left by a killed process")
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["a.bin"]


def test_leftovers_of_the_last_minute_may_be_another_processs(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.bin") as temporary:
        temporary.write_bytes(b"first")
    temporary.write_bytes(b"left by a killed process")
    remove_leftovers(tmp_path, older_than=60)
    assert temporary.exists()
    os.utime(temporary, (0, 0))
    remove_leftovers(tmp_path, older_than=60)
    assert names(tmp_path) == ["a.bin"]


# Folders


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_appears_when_the_block_ends(there: bool, tmp_path: Path) -> None:
    path = tmp_path / "folder"
    if there:
        path.mkdir()
    with making_folder(path) as temporary:
        (temporary / "inner").mkdir()
        (temporary / "inner" / "a.bin").write_bytes(b"new")
        assert not (path / "inner").exists()
    assert (path / "inner" / "a.bin").read_bytes() == b"new"
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("problem", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("a bug")])
def test_when_the_block_fails_no_folder_appears(problem: BaseException, tmp_path: Path) -> None:
    def write() -> None:
        with making_folder(tmp_path / "folder") as temporary:
            (temporary / "a.bin").write_bytes(b"half of the n")
            raise problem

    with pytest.raises(type(problem)) as raised:
        write()
    if isinstance(raised.value, OSError):
        assert raised.value.filename == str(tmp_path / "folder")
    assert names(tmp_path) == []


def test_a_folder_that_somebody_filled_meanwhile_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "folder"

    def write() -> None:
        with making_folder(path) as temporary:
            (temporary / "a.bin").write_bytes(b"ours")
            path.mkdir()
            (path / "a.bin").write_bytes(b"theirs")

    with pytest.raises(OSError, match="folder"):
        write()
    assert names(tmp_path) == ["folder"]
    assert (path / "a.bin").read_bytes() == b"theirs"


def test_a_folder_that_a_killed_process_was_making_can_be_removed(tmp_path: Path) -> None:
    with making_folder(tmp_path / "folder") as temporary:
        pass
    temporary.mkdir()
    (temporary / "a.bin").write_bytes(b"half of the n")
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["folder"]
