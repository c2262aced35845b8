"""What a server and its workers say to each other: frames, each a JSON object and bytes that go with it.

A frame is two big-endian lengths (4 bytes: of the header; 8 bytes: of the payload), the header as UTF-8 JSON, and the
payload. Both lengths are bounded before anything is read: a worker has decoded strangers' pictures, and is not trusted.
"""

from __future__ import annotations

import asyncio
import json
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

LARGEST_HEADER = 4 * 2**20
LARGEST_PAYLOAD = 2**30
_LENGTHS = struct.Struct(">IQ")


class FrameError(Exception):
    """What was read is no frame, or ends within one."""


@dataclass(frozen=True)
class Frame:
    header: dict[str, Any]
    payload: bytes = b""


def frame_head(frame: Frame) -> bytes:
    """What goes before the payload on the way: the lengths, and the header."""
    header = json.dumps(frame.header, separators=(",", ":")).encode()
    _check(len(header), len(frame.payload))
    return _LENGTHS.pack(len(header), len(frame.payload)) + header


def write_frame(stream: BinaryIO, frame: Frame) -> None:
    """Writes a frame whole. Only one thread at a time may."""
    stream.write(frame_head(frame))
    if frame.payload:
        stream.write(frame.payload)
    stream.flush()


def read_frame(stream: BinaryIO) -> Frame | None:
    """The next frame; None at the stream's end. Raises FrameError."""
    lengths = stream.read(_LENGTHS.size)
    if not lengths:
        return None
    header, payload = _parse_lengths(lengths)
    frame = Frame(_parse_header(stream.read(header)), stream.read(payload))
    if len(frame.payload) < payload:
        raise FrameError("the stream ends within a frame")
    return frame


async def receive_frame(reader: asyncio.StreamReader) -> Frame | None:
    """The next frame; None at the stream's end. Raises FrameError."""
    try:
        lengths = await reader.readexactly(_LENGTHS.size)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise FrameError("the stream ends within a frame") from error
        return None
    header, payload = _parse_lengths(lengths)
    try:
        return Frame(_parse_header(await reader.readexactly(header)), await reader.readexactly(payload))
    except asyncio.IncompleteReadError as error:
        raise FrameError("the stream ends within a frame") from error


def _parse_lengths(data: bytes) -> tuple[int, int]:
    if len(data) < _LENGTHS.size:
        raise FrameError("the stream ends within a frame")
    header, payload = _LENGTHS.unpack(data)
    _check(header, payload)
    return header, payload


def _check(header: int, payload: int) -> None:
    if header > LARGEST_HEADER or payload > LARGEST_PAYLOAD:
        raise FrameError(f"a frame of {header:,} + {payload:,} bytes; {LARGEST_HEADER:,} + {LARGEST_PAYLOAD:,} may be")


def _parse_header(data: bytes) -> dict[str, Any]:
    try:
        header = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FrameError("a frame's header is no JSON") from error
    if not isinstance(header, dict):
        raise FrameError("a frame's header is no JSON object")
    return header
