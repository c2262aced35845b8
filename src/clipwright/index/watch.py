"""Following folders: an update whenever the system tells of a change in them."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from clipwright.errors import ClipwrightError
from clipwright.index.ignore import IGNORE_FILE
from clipwright.index.scan import is_picture_name
from clipwright.index.store import Store
from clipwright.index.update import UpdateCounts

_LEAST_PAUSE_MS = 1_600
"""Changes that follow each other within this time are one: a camera's card is copied file by file."""
_LOOK_MS = 5_000
"""How often it is looked whether a disk came or went, of which the system tells nothing."""
logger = logging.getLogger(__name__)


def watch_folders(
    store: Store,
    folders: Sequence[Path],
    update: Callable[[], UpdateCounts],
    on_update: Callable[[UpdateCounts], None] | None,
    stop: threading.Event,
) -> None:
    """Calls update now, and again after each burst of changes in the folders (all roots where none is given).

    What an update looks at is for the scan to decide: a notice only says that it is time for one. on_update is told of
    the first, and of each that changed anything. Ends when stop is set, or with KeyboardInterrupt.
    Raises ClipwrightError where the system has no more notices to give.
    """
    counts, pause_ms = _timed(update)
    if on_update:
        on_update(counts)
    while not stop.is_set():
        present = _present(store, folders)
        if not present:
            stop.wait(_LOOK_MS / 1000)
            continue
        # A change between the last update and the first notice would be missed; so one is due in any case.
        due = True
        for changes in _notices(store, present, pause_ms, stop):
            came_or_went = _present(store, folders) != present
            if changes or came_or_went or due:
                counts, pause_ms = _timed(update)
                if on_update and _changed_anything(counts):
                    on_update(counts)
                due = False
            if came_or_went:
                break


def _notices(store: Store, present: list[str], pause_ms: int, stop: threading.Event):
    ...
