"""The directories of a TIFF: numbered tags and their numbers (TIFF 6.0, and BigTIFF with its places of 64 bits)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

SUB_IFDS = 330
_NUMBERS = {
    1: "u1",
    2: "u1",
    3: "u2",
    4: "u4",
    6: "i1",
    7: "u1",
    8: "i2",
    9: "i4",
    13: "u4",
    16: "u8",
    17: "i8",
    18: "u8",
}
"""The TIFF types that are numbers or bytes, as NumPy names them."""
_MOST_DIRECTORIES, _MOST_TAGS = 32, 2**16


@dataclass(frozen=True)
class Directory:
    """What a TIFF says of one picture in it. Values are read when they are asked for, and only from within the file."""

    data: bytes
    order: Literal["<", ">"]
    """Of bytes."""
    at: int
    tags: dict[int, tuple[int, int, int]]
    """By number: TIFF type, count, and where the values begin."""

    def numbers(self, tag: int) -> np.ndarray:
        """(N,) integers of any kind; none where the tag is not there, holds no integers, or lies beyond the file."""
        kind, count, place = self.tags.get(tag, (0, 0, 0))
        if kind not in _NUMBERS or self.is_cut(tag):
            return np.empty(0, np.uint8)
        return np.frombuffer(self.data, np.dtype(_NUMBERS[kind]).newbyteorder(self.order), count, place)

    def is_cut(self, tag: int) -> bool:
        """Whether the numbers of a tag lie beyond the file."""
        kind, count, place = self.tags.get(tag, (0, 0, 0))
        return kind in _NUMBERS and place + count * np.dtype(_NUMBERS[kind]).itemsize > len(self.data)

    def number(self, tag: int, otherwise: int) -> int:
        """The first number of a tag."""
        found = self.numbers(tag)
        return int(found[0]) if found.size else otherwise


def is_tiff(data: bytes) -> bool:
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def directories(data: bytes) -> Iterator[Directory]:
    """The directories of a TIFF and those within them, the first one first; hostile ones end early."""
    order: Literal["<", ">"] = "<" if data[:2] == b"II" else ">"
    big = b"+" in data[2:4]
    head, entry, place = ("Q", "HHQQ", "Q") if big else ("H", "HHII", "I")
    size, inline = struct.calcsize("<" + entry), struct.calcsize("<" + place)
    waiting, seen = list(struct.unpack_from(order + place, data.ljust(16, b"\0"), 8 if big else 4)), set[int]()
    while waiting and len(seen) < _MOST_DIRECTORIES:
        at = waiting.pop()
        first = at + struct.calcsize("<" + head)
        if at in seen or at < 8 or first > len(data):
            continue
        seen.add(at)
        (count,) = struct.unpack_from(order + head, data, at)
        tags = {}
        for here in range(first, min(first + size * min(count, _MOST_TAGS), len(data) - size + 1), size):
            tag, kind, number, value = struct.unpack_from(order + entry, data, here)
            fits = number * np.dtype(_NUMBERS.get(kind, "u8")).itemsize <= inline
            tags[tag] = (kind, number, here + size - inline if fits else value)
        after = first + size * count
        following = struct.unpack_from(order + place, data, after)[0] if after + inline <= len(data) else 0
        directory = Directory(data, order, at, tags)
        waiting += [following, *(int(inner) for inner in directory.numbers(SUB_IFDS)[:_MOST_DIRECTORIES][::-1])]
        yield directory
