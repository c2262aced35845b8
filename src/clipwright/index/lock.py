"""One indexer at a time: a lock that the system lets go when its holder ends, however it ends."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from clipwright.errors import BusyIndexError
from clipwright.index.database import place_explained


@dataclass(frozen=True)
class Holder:
    """The process that changes an index."""

    process: int
    host: str

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}" if self.process else "another process"


@contextlib.contextmanager
def only_indexer(
    database: Path, *, wait: bool = True, on_wait: Callable[[Holder], None] | None = None
) -> Iterator[None]:
    """While the block runs, no other process is in such a block for the same index.

    If another one is, on_wait is told which, and this one waits; without wait, BusyIndexError says which it is.
    Raises IndexFileError where the index lies in a folder that may not be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(database.with_name(f"{database.name}.lock"))
    told = database.with_name(f"{database.name}.holder")
    try:
        with place_explained(database):
            lock.acquire(blocking=False)
    except Timeout:
        holder = _read(told)
        if not wait:
            raise BusyIndexError(
                f"the index {database} is being changed by {holder}; wait until it has ended, or end it"
            ) from None
        if on_wait is not None:
            on_wait(holder)
        lock.acquire(poll_interval=0.1)
    try:
        with contextlib.suppress(OSError):  # the lock holds without it, on a full disk say
            told.write_text(json.dumps(asdict(Holder(os.getpid(), socket.gethostname()))), encoding="utf-8")
        yield
    finally:
        with contextlib.suppress(OSError):
            told.unlink()
        lock.release()


def _read(told: Path) -> Holder:
    """Who holds the lock; process 0 where that is not to be read, in the moment in which it changes hands."""
    try:
        return Holder(**json.loads(told.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Holder(0, "")
