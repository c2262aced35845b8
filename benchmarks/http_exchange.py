"""One HTTP/1.1 request over one raw connection, byte by byte as the caller wants it, and what came back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Leave = Literal["close", "reset"]
BOUNDARY = "a-line-that-parts-of-a-form-begin-with"


@dataclass
class Answer:
    """Of one request."""

    status: int | None
    """None: the server ended the connection without an answer."""
    headers: dict[str, str] = field(default_factory=dict)
    """Names in small letters."""
    body: bytes = b""
    seconds: float = 0.0
    """From the last byte that was sent to the first of the answer."""

    def json(self) -> Any:
        return json.loads(self.body)


def request_bytes(
    method: str, path: str, port: int, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> bytes:
    """A whole request. headers go before the usual ones, and in their place where the name is the same."""
    given = {"Host": f"127.0.0.1:{port}"}
    if body is not None:
        given |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    given |= headers or {}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("utf-8", "surrogateescape") + (body or b"")


def form(parts: Iterable[tuple[str, str | None, bytes]]) -> tuple[bytes, dict[str, str]]:
    """A multipart body of (field, file name, content), and the header that says so."""
    pieces = []
    for name, file, content in parts:
        disposition = f'form-data; name="{name}"' + (f'; filename="{file}"' if file is not None else "")
        pieces.append(f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + content + b"\r\n")
    body = b"".join(pieces) + f"--{BOUNDARY}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


class Connection:
    """To a server on this machine; kept open from request to request."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(
        self,
        steps: Iterable[tuple[bytes, float]],
        *,
        leave: Leave | None = None,
        hold: float = 0.0,
        patience: float = 120.0,
    ) -> Answer:
        """The answer to bytes, each sent after a pause of so many seconds; sending ends when an answer comes early.

        leave: go away after the last byte, without the answer. hold: seconds for which no more than the beginning of
        the answer is taken. Raises TimeoutError where none comes in time.
        """
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)
        reader = self._reader
        assert reader is not None
        first = asyncio.ensure_future(reader.read(1))
        try:
            await self._send(steps, first)
            sent = time.perf_counter()
            if leave is not None:
                self._abandon(leave)
                return Answer(None)
            begun = await asyncio.wait_for(first, patience)
            seconds = time.perf_counter() - sent
            if not begun:
                self.close()
                return Answer(None, seconds=seconds)
            await asyncio.sleep(hold)
            answer = await asyncio.wait_for(_read(reader, begun), patience)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.close()
            return Answer(None)
        except BaseException:
            self.close()
            raise
        finally:
            if not first.done():
                first.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await first
        answer.seconds = seconds
        if answer.headers.get("connection") == "close":
            self.close()
        return answer

    async def _send(self, steps: Iterable[tuple[bytes, float]], first: asyncio.Future[bytes]) -> None:
        assert self._writer is not None
        for piece, pause in steps:
            if pause:
                await asyncio.wait([first], timeout=pause)
            if first.done():
                return
            try:
                self._writer.write(piece)
                await self._writer.drain()
            except ConnectionError:
                # The answer to what was sent may lie in the receiver already.
                return

    def _abandon(self, leave: Leave) -> None:
        assert self._writer is not None
        if leave == "reset":
            line: socket.socket = self._writer.get_extra_info("socket")
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort() if self._writer.is_closing() else self._writer.close()
        self._reader = self._writer = None


@contextlib.asynccontextmanager
async def connection(port: int) -> AsyncIterator[Connection]:
    opened = Connection(port)
    try:
        yield opened
    finally:
        opened.close()


async def _read(reader: asyncio.StreamReader, begun: bytes) -> Answer:
    head = begun + await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    status = int(lines[0].split()[1])
    headers = {}
    for line in lines[1:-2]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    elif headers.get("transfer-encoding") == "chunked":
        body = await _read_chunks(reader)
    elif status in (204, 304):
        body = b""
    else:
        body = await reader.read()
    return Answer(status, headers, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    whole = b""
    while length := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        whole += await reader.readexactly(length)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return whole
