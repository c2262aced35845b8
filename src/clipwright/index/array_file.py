"""Named arrays in one file, memory-mapped: how what is derived from an index lies on disk.

The arrays stand one after the other, each at a multiple of 64 bytes; then a JSON record that says what they are; then
24 bytes: the record's length and CRC-32, four bytes of nought, and the magic. So a file that was cut is noticed.
"""

from __future__ import annotations

import json
import mmap
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

MAGIC = b"CWARRAY1"
_END = struct.Struct("<QII8s")
_ALIGNMENT = 64
_CHECKED_BYTES = 1 << 20
"""Arrays up to this size are checked whenever a file is opened."""


class DamagedArraysError(Exception):
    """A file of arrays cannot be used. It is derived, so it is made again."""


@dataclass(frozen=True)
class ArrayFile:
    """A file of arrays that was opened."""

    facts: dict[str, Any]
    """What its writer said of it."""
    arrays: dict[str, np.ndarray]
    """Memory-mapped, read-only."""
    checksums: dict[str, int]

    @classmethod
    def open(cls, path: Path) -> ArrayFile:
        """Maps a file; checks its record, its length and its small arrays.

        Raises DamagedArraysError where they do not agree, FileNotFoundError where there is none.
        """
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size < _END.size:
                raise DamagedArraysError(f"{path} is cut short")
            file.seek(size - _END.size)
            length, checksum, _, magic = _END.unpack(file.read(_END.size))
            if magic != MAGIC or length > size - _END.size:
                raise DamagedArraysError(f"{path} is cut short or no file of arrays")
            start = size - _END.size - length
            file.seek(start)
            record = file.read(length)
            if zlib.crc32(record) != checksum:
                raise DamagedArraysError(f"the record of {path} is damaged")
            entries = json.loads(record)
            if entries["bytes"] != start:
                raise DamagedArraysError(f"{path} has {start} bytes of arrays where {entries['bytes']} were written")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        arrays, checksums = {}, {}
        for name, entry in entries["arrays"].items():
            shape = tuple(entry["shape"])
            count = int(np.prod(shape, dtype=np.int64))
            array = np.frombuffer(mapped, entry["dtype"], count, entry["offset"]).reshape(shape)
            arrays[name], checksums[name] = array, entry["crc32"]
        opened = cls(entries["facts"], arrays, checksums)
        opened.check(_CHECKED_BYTES)
        return opened

    def check(self, up_to_bytes: int | None = None) -> None:
        """Reads arrays up to this size, or all, and raises DamagedArraysError where one is not what was written."""
        for name, array in self.arrays.items():
            if (up_to_bytes is None or array.nbytes <= up_to_bytes) and _checksum(array) != self.checksums[name]:
                raise DamagedArraysError(f"the array {name!r} is damaged")


class ArrayFileWriter:
    """Writes a file of arrays, one after the other; what is large in pieces. A full disk is an OSError."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._entries: dict[str, dict[str, Any]] = {}

    def begin(self, name: str, dtype: str, row_shape: tuple[int, ...] = ()) -> None:
        """Starts an array whose rows follow with append."""
        self._file.write(bytes(-self._file.tell() % _ALIGNMENT))
        self._entries[name] = {
            "dtype": np.dtype(dtype).str, "shape": [0, *row_shape], "offset": self._file.tell(), "crc32": 0,
        }  # fmt: skip

    def append(self, rows: np.ndarray) -> None:
        """Further rows of the array that was begun last."""
        entry = next(reversed(self._entries.values()))
        rows = np.ascontiguousarray(rows, entry["dtype"])
        entry["shape"][0] += len(rows)
        entry["crc32"] = _checksum(rows, entry["crc32"])
        self._file.write(rows.data if rows.size else b"")

    def add(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Whole arrays."""
        for name, array in arrays.items():
            self.begin(name, array.dtype.str, array.shape[1:])
            self.append(array)

    def flush(self) -> None:
        self._file.flush()

    def finish(self, facts: Mapping[str, Any]) -> None:
        """The record and the end, without which the file is none."""
        record = json.dumps({"facts": facts, "arrays": self._entries, "bytes": self._file.tell()}).encode()
        self._file.write(record + _END.pack(len(record), zlib.crc32(record), 0, MAGIC))
        self._file.flush()

    def __enter__(self) -> ArrayFileWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()


def _checksum(array: np.ndarray, start: int = 0) -> int:
    return zlib.crc32(array.reshape(-1).view(np.uint8).data, start) if array.size else start
