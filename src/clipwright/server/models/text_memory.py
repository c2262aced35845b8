"""Vectors of texts that come again: labels and queries."""

from __future__ import annotations

import sys
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

_OVERHEAD = 400
"""Bytes of an entry besides its text and its numbers."""


@dataclass(frozen=True)
class KnownText:
    vector: np.ndarray
    """(D,) float32, unit."""
    tokens: int
    dropped: int


class TextMemory:
    """The texts that were asked for last, in bounded memory. A space names a model and its variant."""

    def __init__(self, most_bytes: int = 64 * 2**20) -> None:
        self._most_bytes, self.size = most_bytes, 0
        self._known: OrderedDict[tuple[str, str], KnownText] = OrderedDict()

    def get(self, space: str, text: str) -> KnownText | None:
        known = self._known.get((space, text))
        if known is not None:
            self._known.move_to_end((space, text))
        return known

    def keep(self, space: str, text: str, known: KnownText) -> None:
        """Keeps a copy of the vector: the array may be a row of a larger one."""
        if (space, text) in self._known:
            return
        self._known[space, text] = KnownText(known.vector.copy(), known.tokens, known.dropped)
        self.size += _bytes(text, known)
        while self.size > self._most_bytes:
            (_, oldest), forgotten = self._known.popitem(last=False)
            self.size -= _bytes(oldest, forgotten)


def _bytes(text: str, known: KnownText) -> int:
    return sys.getsizeof(text) + int(known.vector.nbytes) + _OVERHEAD
