"""A bound on what pictures take in memory while they are opened, whatever their number and size and the threads."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from clipwright.errors import ImageError


class MemoryBound:
    """Lets threads claim bytes up to a limit and makes the others wait.

    A thread that claims more than the limit waits until it is alone, and then gets it. The threads are served in the
    order in which their scopes began: a giant picture is not overtaken for ever by small ones, and nobody begins while
    one that has begun waits for more. Who waits gives nothing back, so the first goes on when all others wait too.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._changed = threading.Condition()
        self._held: dict[int, int] = {}  # by thread, in the order in which their scopes began
        self._waiting: set[int] = set()

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """What this thread claims in here is given back at the end. Within another scope of the thread: at its end."""
        thread = threading.get_ident()
        with self._changed:
            outermost = thread not in self._held
            self._held.setdefault(thread, 0)
        try:
            yield
        finally:
            if outermost:
                with self._changed:
                    del self._held[thread]
                    self._changed.notify_all()

    def claim(self, count: int) -> None:
        """Waits until this thread may take so many bytes more. Only within a scope."""
        thread = threading.get_ident()
        with self._changed:
            self._waiting.add(thread)
            self._changed.notify_all()  # who waits does not work: another may be alone now
            try:
                self._changed.wait_for(lambda: self._may_take(thread, count))
                self._held[thread] += count
            finally:
                self._waiting.remove(thread)
                self._changed.notify_all()

    def _may_take(self, thread: int, count: int) -> bool:
        if thread != next(other for other in self._held if other in self._waiting):
            return False
        at_work = (held for other, held in self._held.items() if other not in self._waiting)
        return sum(self._held.values()) + count <= self._limit or not any(at_work)


PICTURES = MemoryBound(2**30)
"""Of this process: ten pictures of 12 megapixels at once."""


def check_size(width: int, height: int, most: int) -> None:
    """Raises ImageError for a picture that claims more pixels than most, or none."""
    if width * height > most:
        raise ImageError("too_large", f"claims {width:,} x {height:,} pixels; the limit is {most:,} in all")
    if width * height == 0:
        raise ImageError("not_an_image", f"a picture of {width} x {height} pixels shows nothing")
