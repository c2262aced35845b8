"""Following folders: an update whenever the system tells of a change in them."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from clipwright.errors import ClipwrightError
from clipwright.index.ignore import IGNORE_FILE
from clipwright.index.roots import is_occupied
from clipwright.index.store import Store
from clipwright.index.update import UpdateCounts
from clipwright.inputs.image_names import image_suffixes
from clipwright.inputs.raw import RAW_SUFFIXES

_QUIET_MS = 500
"""Changes that follow each other faster are one: a camera's card is copied file by file."""
_LONGEST_MS = 2_000
"""A burst is acted upon after this time even if it goes on; after twice the time of an update where that is more."""
_LOOK_MS = 5_000
"""How often it is looked whether a disk came or went, of which the system tells nothing."""


def watch_folders(
    store: Store,
    folders: Sequence[Path],
    update: Callable[[], UpdateCounts],
    on_update: Callable[[UpdateCounts], None] | None,
    stop: threading.Event,
) -> None:
    """Calls update now, and again after each burst of changes in the folders (all roots where none is given).

    What an update looks at is for the scan to decide: a notice only says that it is time for one. on_update is told of
    the first, and of each that changed anything, or found a root to be offline or back. Ends when stop is set, or with
    KeyboardInterrupt.
    Raises ClipwrightError where the system gives no notices.
    """
    counts, seconds = _timed(update)
    if on_update:
        on_update(counts)
    while not stop.is_set():
        present, is_first = _present(store, folders), True
        for changed in _notices(store.path, present, max(_LONGEST_MS, int(2000 * seconds)), stop):
            came_or_went = _present(store, folders) != present
            if changed or came_or_went or is_first:  # the first: for what changed before notices were given
                before = counts
                counts, seconds = _timed(update)
                if on_update and (_changed_anything(counts) or counts.offline != before.offline):
                    on_update(counts)
            is_first = False
            if came_or_went:
                break


def _notices(database: Path, present: list[str], longest_ms: int, stop: threading.Event) -> Iterator[bool]:
    """Whether anything changed that may matter: after each burst of changes, and every few seconds without any."""
    if not present:
        stop.wait(_LOOK_MS / 1000)
        yield False
        return
    import watchfiles

    try:
        for changes in watchfiles.watch(
            *present,
            watch_filter=lambda _, path: _may_matter(path, database),
            debounce=longest_ms,
            step=_QUIET_MS,
            rust_timeout=_LOOK_MS,
            yield_on_timeout=True,
            stop_event=stop,
            ignore_permission_denied=True,
        ):
            yield bool(changes)
    except FileNotFoundError:
        yield False  # it went just now
    except (OSError, RuntimeError, UnicodeEncodeError) as error:
        reason = " ".join(str(error).split())
        raise ClipwrightError(
            f"these folders cannot be watched ({reason}); run 'clipwright index' at times instead"
        ) from error


def _may_matter(path: str, database: Path) -> bool:
    """Whether a change there may be one of photographs: not of the index's own files, nor of a program's log."""
    name = os.path.basename(path)
    if path.startswith(str(database)) or (name.startswith(".") and name != os.fsdecode(IGNORE_FILE)):
        return False
    suffix = os.path.splitext(name)[1].lower()
    return suffix in image_suffixes() or suffix in RAW_SUFFIXES or name.startswith(".") or not os.path.isfile(path)


def _present(store: Store, folders: Sequence[Path]) -> list[str]:
    """The folders that can be watched now: those of disks that are plugged in."""
    paths = [os.path.abspath(folder) for folder in folders] or [os.fsdecode(root.path) for root in store.roots()]
    return [path for path in paths if is_occupied(os.fsencode(path))]


def _timed(update: Callable[[], UpdateCounts]) -> tuple[UpdateCounts, float]:
    start = time.monotonic()
    counts = update()
    return counts, time.monotonic() - start


def _changed_anything(counts: UpdateCounts) -> bool:
    """Whether an update did more than look."""
    did = dataclasses.replace(counts, found=0, still_failing=0, passed_over={}, offline=())
    return did != UpdateCounts()
