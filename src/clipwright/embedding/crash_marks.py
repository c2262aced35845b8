"""What tells the next process that a kept model made this one crash.

A damaged file can end a process inside a runtime's machine code, where no exception is raised. So a file stands beside
a kept model from before it is opened until it has answered once, held by its process. One that nobody holds any more
was left by a process that died meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import uuid
import weakref
from dataclasses import dataclass
from pathlib import Path

if sys.platform != "win32":  # there, a file that another process has open cannot be removed, which tells the same
    import fcntl

_NEW = os.O_CREAT | os.O_EXCL | os.O_RDWR


class Trial:
    """The first use of a kept model in this process; over, too, when the process ends by itself."""

    def __init__(self, mark: Path, held: int, record: CrashRecord) -> None:
        self._record = record
        self._take_away = weakref.finalize(self, _close, mark, held)

    def end(self, *, survived: bool) -> None:
        """survived: the model has answered, so that earlier crashes count no more."""
        self._take_away()
        if survived:
            with contextlib.suppress(OSError):
                self._record.crashes_file.unlink(missing_ok=True)


def _close(mark: Path, held: int) -> None:
    with contextlib.suppress(OSError):  # of Windows, which removes only what is closed
        mark.unlink()
    os.close(held)
    with contextlib.suppress(OSError):
        mark.unlink()


@dataclass(frozen=True)
class CrashRecord:
    """The crashes with one kept model that followed one another, in files beside it."""

    entry: Path
    """The kept model's folder, which need not be there."""

    @property
    def crashes_file(self) -> Path:
        return self.entry.with_name(f".{self.entry.name}.crashes")

    def crashes(self) -> tuple[int, bool]:
        """How many there were, and whether the last one is new: counted by this call."""
        known = 0
        with contextlib.suppress(OSError, ValueError):
            known = int(self.crashes_file.read_text(encoding="ascii"))
        left = [mark for mark in self.entry.parent.glob(f".{self.entry.name}.*.trial") if _taken_away(mark)]
        if not left:
            return known, False
        with contextlib.suppress(OSError):
            self.crashes_file.write_text(str(known + 1), encoding="ascii")
        return known + 1, True

    def begin(self) -> Trial | None:
        """None where nothing can be written."""
        mark = self.entry.with_name(f".{self.entry.name}.{uuid.uuid4().hex}.trial")
        with contextlib.suppress(OSError):
            if sys.platform == "win32":
                return Trial(mark, os.open(mark, _NEW), self)
            unheld = mark.with_suffix(".new")
            held = os.open(unheld, _NEW)
            fcntl.flock(held, fcntl.LOCK_EX)
            unheld.rename(mark)
            return Trial(mark, held, self)
        return None


def remove_records(folder: Path, older_than: float) -> None:
    """Forgets the crashes with the kept models of a folder that are so many seconds old."""
    for file in [file for ending in ("crashes", "trial", "new") for file in folder.glob(f".*.{ending}")]:
        with contextlib.suppress(OSError):
            if time.time() - file.stat().st_mtime >= older_than:
                file.unlink()


def _taken_away(mark: Path) -> bool:
    """Whether its process is gone and this one removed it."""
    with contextlib.suppress(OSError):
        if sys.platform != "win32":
            with mark.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mark.unlink()
        return True
    return False
