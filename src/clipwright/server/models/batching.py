"""Which items a model is given at once, and when."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


def remaining_wait(ready: int, coming: int, most: int, waited: float, longest: float) -> float | None:
    """Seconds that a model with nothing to do waits for more before it begins a batch; None: it has nothing to begin.

    ready items could begin at once; coming ones are being prepared. A batch that is full, or that nothing comes to
    join, begins at once; another one waits for longest seconds, of which it has waited some.
    """
    if ready == 0:
        return None
    if ready >= most or coming == 0:
        return 0.0
    return max(0.0, longest - waited)


class Gathering(Generic[Key, Item]):
    """Items that become ready one by one, and are taken in batches. Safe to use from several threads.

    While a model computes, what becomes ready gathers here: the longer the model takes, the larger is the next batch.
    """

    def __init__(self, most: int, longest_wait: float) -> None:
        """most: items of a batch. longest_wait: seconds, as in remaining_wait."""
        self._most, self._longest_wait = most, longest_wait
        self._changed = threading.Condition()
        self._coming: set[Key] = set()
        self._ready: OrderedDict[Key, Item] = OrderedDict()

    def expect(self, key: Key) -> None:
        """This item is being prepared."""
        with self._changed:
            self._coming.add(key)

    def add(self, key: Key, item: Item) -> bool:
        """This item is ready. False where it was expected, and has been withdrawn."""
        with self._changed:
            if key not in self._coming:
                return False
            self._coming.remove(key)
            self._ready[key] = item
            self._changed.notify_all()
            return True

    def expects(self, key: Key) -> bool:
        """Whether this item is still wanted."""
        with self._changed:
            return key in self._coming

    def withdraw(self, key: Key) -> bool:
        """Takes this item out. Whether it was here: not, if it is in a batch that was taken."""
        with self._changed:
            if self._ready.pop(key, None) is None and key not in self._coming:
                return False
            self._coming.discard(key)
            self._changed.notify_all()  # a batch may have waited for it
            return True

    def take(self) -> list[tuple[Key, Item]]:
        """The next batch, as soon as it is to begin."""
        with self._changed:
            began: float | None = None
            while True:
                now = time.monotonic()
                if began is None and self._ready:
                    began = now
                waited = 0.0 if began is None else now - began
                wait = remaining_wait(len(self._ready), len(self._coming), self._most, waited, self._longest_wait)
                if wait == 0:
                    return [self._ready.popitem(last=False) for _ in range(min(self._most, len(self._ready)))]
                self._changed.wait(wait)
