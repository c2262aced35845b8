"""HEIF, the pictures of iPhones: reading them through Pillow, and what must be checked before."""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator

from clipwright.errors import ImageError


def may_be_heif(data: bytes) -> bool:
    """Whether this is a file of boxes, as HEIF is; AVIF is too."""
    return data[4:8] == b"ftyp"


@functools.cache
def register() -> None:
    """Teaches Pillow to read HEIF."""
    import pi_heif

    pi_heif.register_heif_opener()


def check(data: bytes) -> None:
    """Raises ImageError for a HEIF file whose list of items is damaged in a way that would end the process.

    pi-heif 1.4 follows a null pointer where the type of an item is no UTF-8 (pillow-heif 1.8 does not). Boxes as in
    ISO/IEC 14496-12: meta (8.11.1) holds iinf, and that an infe for each item (8.11.6).
    """
    for meta in _boxes(data, b"meta", 0, len(data)):
        for iinf in _boxes(data, b"iinf", meta.start + 4, meta.stop):
            first = iinf.start + (8 if data[iinf.start] else 6)  # after version, flags and a count of four bytes or two
            for infe in _boxes(data, b"infe", first, iinf.stop):
                if not _is_sound(data[infe.start : infe.stop]):
                    raise ImageError("unreadable", "broken picture: its list of items is damaged")


def _boxes(data: bytes, kind: bytes, start: int, stop: int) -> Iterator[range]:
    """Where the contents of the boxes of one kind are, among those that follow each other from start to stop."""
    while start + 8 < stop:
        size, found = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1 and start + 16 < stop:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        end = min(start + size, stop) if size else stop
        if found == kind and start + head < end:
            yield range(start + head, end)
        start = max(end, start + head)


def _is_sound(entry: bytes) -> bool:
    """Whether an item says its type, name and content type in UTF-8."""
    texts = entry[10:] if entry[0] > 2 else entry[8:]  # after version and flags, the number and the protection
    try:
        texts[:4].decode()
        texts[4:].decode()
    except UnicodeDecodeError:
        return False
    return True
