"""Which files beside an ONNX graph hold its large tensors, found without reading a tensor.

A graph of gigabytes is skimmed in milliseconds: the file is mapped, and of the fields of its Protocol Buffers messages
only those are entered that lead to a tensor's external_data (onnx.proto of ONNX 1.23).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from clipwright.errors import CheckpointError

_Buffer = bytes | mmap.mmap
_MESSAGES: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
"""The fields of each message that are entered, by number, and which message each holds."""
_KEY, _VALUE = 1, 2
"""Of an entry of external_data."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
"""Wire types, as Protocol Buffers' documentation of its encoding numbers them."""
_DEEPEST = 64
"""Messages inside one another: the nodes of a loop hold graphs."""


class _DamagedError(Exception):
    pass


def external_files(graph: Path) -> tuple[str, ...]:
    """The files that a graph's tensors lie in, in order, as paths relative to its folder; none where it holds them all.

    Raises CheckpointError where the file is no ONNX graph, or where it points out of its folder.
    """
    try:
        with graph.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
            found = sorted(set(_locations(buffer, 0, len(buffer), "model", 0)))
    except (ValueError, _DamagedError) as error:  # an empty file cannot be mapped
        raise CheckpointError(f"{str(graph)!r} is no ONNX graph, or was cut off") from error
    for name in found:
        posix, windows = PurePosixPath(name), PureWindowsPath(name)
        if not name or posix.is_absolute() or windows.drive or windows.root or ".." in (*posix.parts, *windows.parts):
            raise CheckpointError(f"{str(graph)!r} names {name!r}, which lies outside its folder")
    return tuple(found)


def _locations(buffer: _Buffer, start: int, end: int, message: str, depth: int) -> Iterator[str]:
    if message == "entry":
        strings = {number: bytes(buffer[a:b]) for number, a, b in _fields(buffer, start, end)}
        if strings.get(_KEY) == b"location":
            yield strings.get(_VALUE, b"").decode("utf-8", "replace")
        return
    if depth > _DEEPEST:
        raise _DamagedError
    for number, a, b in _fields(buffer, start, end):
        inner = _MESSAGES[message].get(number)
        if inner is not None:
            yield from _locations(buffer, a, b, inner, depth + 1)


def _fields(buffer: _Buffer, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(number, start, end) of each field that has a length; the others are passed over."""
    place = start
    while place < end:
        tag, place = _varint(buffer, place, end)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            _, place = _varint(buffer, place, end)
        elif kind in (_FIXED64, _FIXED32):
            place += 8 if kind == _FIXED64 else 4
        elif kind == _BYTES:
            length, place = _varint(buffer, place, end)
            if place + length <= end:
                yield number, place, place + length
            place += length
        else:
            raise _DamagedError
    if place != end:
        raise _DamagedError


def _varint(buffer: _Buffer, place: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while place < end and shift < 64:
        byte = buffer[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if not byte & 0x80:
            return value, place
    raise _DamagedError
