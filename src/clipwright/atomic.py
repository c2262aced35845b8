"""Files and folders that appear whole or not at all, whenever the process or the machine stops."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

_PREFIX, _SUFFIX = ".clipwright-", ".tmp"


@contextlib.contextmanager
def replacing(path: Path, mode: int | None = None) -> Iterator[Path]:
    """A temporary path beside path, which takes path's place when the block ends well and is removed when it fails.

    mode: the file's permissions in the end; None gives it those of any new file.
    What was at path stays whole until then: also when the disk is full (OSError) or the process is killed.
    """
    temporary = _beside(path)
    try:
        temporary.touch()
        mode = temporary.stat().st_mode if mode is None else mode
        temporary.unlink()
        yield temporary
        temporary.chmod(mode)  # some writers let nobody else read what they write
        _sync_file(temporary)
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        if error.filename in (None, str(temporary)):
            error.filename = str(path)  # what the user knows it as
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def making_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside path, which takes its name when the block ends well and is removed when it fails.

    Raises OSError where path is there by then, unless it is an empty folder; and where the disk refuses.
    """
    temporary = _beside(path)
    try:
        temporary.mkdir()
        yield temporary
        for parent, _, files in os.walk(temporary):
            for name in files:
                _sync_file(Path(parent, name))
            _sync_folder(Path(parent))
        with contextlib.suppress(FileNotFoundError):
            path.rmdir()
        temporary.rename(path)
        _sync_folder(path.parent)
    except OSError as error:
        if error.filename is None or Path(error.filename).is_relative_to(temporary):
            error.filename = str(path)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(folder: Path, older_than: float = 0.0) -> None:
    """Removes what killed processes were writing in a folder and left there so many seconds ago.

    With nought, nobody else may be writing there.
    """
    for leftover in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime < older_than:
                continue
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink()


def _beside(path: Path) -> Path:
    return path.with_name(f"{_PREFIX}{uuid.uuid4().hex}{_SUFFIX}")


def _sync_file(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder, and journals renames itself
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
