from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from clipwright.atomic import replacing


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


def test_the_old_file_stays_whole_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="No space left"), replacing(path) as temporary:
        temporary.write_bytes(b"half of the n")
        raise OSError(28, "No space left on device")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_nothing_is_left_when_the_first_writing_fails(tmp_path: Path) -> None:
    def write() -> None:
        with replacing(tmp_path / "a.bin") as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert names(tmp_path) == []


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
from clipwright.atomic import replacing
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


def test_what_a_killed_writer_left_does_not_hinder_the_next(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with replacing(path) as temporary:
        temporary.write_bytes(b"first")
    temporary.write_bytes(b"left by a killed process with this number, and longer")
    with replacing(path) as temporary:
        temporary.write_bytes(b"second")
    assert path.read_bytes() == b"second"
    assert names(tmp_path) == ["a.bin"]
