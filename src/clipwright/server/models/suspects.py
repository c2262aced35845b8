"""Pictures that were in a worker when it died: one of them may have killed it, and would kill the next one too.

They are tried once more, each alone. One that ends a second worker, alone, is never decoded again; the others are
cleared. They are known by their bytes, a bounded number of them, until the server ends.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable

_MOST = 1_000


class Suspects:
    """What is known of such pictures. Belongs to one event loop."""

    def __init__(self) -> None:
        self._guilty: OrderedDict[bytes, bool] = OrderedDict()

    def is_suspect(self, picture: bytes) -> bool:
        """Whether a picture is to be tried alone."""
        return self._verdict(picture) is False

    def is_guilty(self, picture: bytes) -> bool:
        """Whether it is not to be tried at all."""
        return self._verdict(picture) is True

    def died_with(self, pictures: Iterable[bytes], alone: bytes | None) -> None:
        """A worker died that had these pictures; alone is the suspect that it was given by itself."""
        for picture in pictures:
            digest = _digest(picture)
            self._guilty[digest] = picture is alone or self._guilty.get(digest, False)
            self._guilty.move_to_end(digest)
        while len(self._guilty) > _MOST:
            self._guilty.popitem(last=False)

    def survived(self, picture: bytes) -> None:
        """A worker outlived this one."""
        self._guilty.pop(_digest(picture), None)

    def _verdict(self, picture: bytes) -> bool | None:
        return self._guilty.get(_digest(picture)) if self._guilty else None


def _digest(picture: bytes) -> bytes:
    return hashlib.blake2b(picture, digest_size=16).digest()
