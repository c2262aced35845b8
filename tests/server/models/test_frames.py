from __future__ import annotations

import asyncio
import io
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipwright.server.models.frames import (
    LARGEST_HEADER,
    LARGEST_PAYLOAD,
    Frame,
    FrameError,
    frame_head,
    read_frame,
    receive_frame,
    write_frame,
)

FRAMES = [
    Frame({"type": "ping"}),
    Frame({"type": "picture", "id": 7}, b"\0\1\2" * 50_000),
    Frame({"path": "a\udc80b", "ids": []}, b"x"),
]


def written(*frames: Frame) -> bytes:
    stream = io.BytesIO()
    for frame in frames:
        write_frame(stream, frame)
    return stream.getvalue()


def received(data: bytes) -> list[Frame]:
    """Read as a server does."""

    async def receive() -> list[Frame]:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        frames = []
        while (frame := await receive_frame(reader)) is not None:
            frames.append(frame)
        return frames

    return asyncio.run(receive())


def read(data: bytes) -> list[Frame]:
    """Read as a worker does."""
    stream = io.BytesIO(data)
    frames = []
    while (frame := read_frame(stream)) is not None:
        frames.append(frame)
    return frames


def test_frames_arrive_as_they_were_written() -> None:
    assert read(written(*FRAMES)) == FRAMES
    assert received(written(*FRAMES)) == FRAMES


@pytest.mark.parametrize("reading", [read, received])
@pytest.mark.parametrize("cut", [1, 11, 12, 15, 40])
def test_a_stream_that_ends_within_a_frame_is_an_error(reading: type, cut: int) -> None:
    whole = written(FRAMES[1])
    with pytest.raises(FrameError):
        reading(whole[:cut])


@pytest.mark.parametrize("reading", [read, received])
@pytest.mark.parametrize(("header", "payload"), [(LARGEST_HEADER + 1, 0), (2, LARGEST_PAYLOAD + 1), (2**32 - 1, 2**63)])
def test_a_length_beyond_the_limits_is_refused_unread(reading: type, header: int, payload: int) -> None:
    with pytest.raises(FrameError, match="may be"):
        reading(struct.pack(">IQ", header, payload) + b"{}")


@pytest.mark.parametrize("reading", [read, received])
@pytest.mark.parametrize("header", [b"{", b"[]", b"\xff", b"[" * 100_000, b"3"])
def test_a_header_that_is_no_object_is_refused(reading: type, header: bytes) -> None:
    with pytest.raises(FrameError):
        reading(struct.pack(">IQ", len(header), 0) + header)


@given(st.binary(max_size=200))
def test_any_bytes_are_frames_or_a_frame_error(data: bytes) -> None:
    try:
        read(data)
    except FrameError:
        with pytest.raises(FrameError):
            received(data)


def test_a_frame_that_is_too_large_is_not_sent() -> None:
    with pytest.raises(FrameError):
        frame_head(Frame({"text": "x" * LARGEST_HEADER}))


def test_a_header_is_one_line_of_json() -> None:
    head = frame_head(Frame({"id": 1}, b"abc"))
    assert json.loads(head[12:]) == {"id": 1}
    assert struct.unpack(">IQ", head[:12]) == (len(head) - 12, 3)
