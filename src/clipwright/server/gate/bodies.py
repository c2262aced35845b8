"""Receives requests' bodies within limits of size, number and time."""

from __future__ import annotations

import asyncio
import io

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clipwright.server.gate.access import needs_key
from clipwright.server.rejection import RejectionError
from clipwright.server.settings import Limits

_RETRY_SECONDS = 1.0
_OPEN_BYTES = 4096
"""Of a body that anybody may send, key or not: there a key is all that is sent."""


class BodyLimits:
    """ASGI middleware: what is inside of it gets a request when its body is there, whole, as one message."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits
        self._held = 0
        """Bytes of the bodies of all requests at the moment."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        _check_encodings(headers)
        most = self._limits.body_bytes if needs_key(scope["path"]) else min(_OPEN_BYTES, self._limits.body_bytes)
        self._check_length(headers.get("content-length"), most)
        body = _Body()
        try:
            try:
                async with asyncio.timeout(self._limits.body_seconds):
                    is_whole = await self._receive(body, receive, most)
            except TimeoutError:
                raise RejectionError(
                    408, "request_too_slow", f"the body did not arrive within {self._limits.body_seconds:g} seconds"
                ) from None
            if is_whole:
                await self._app(scope, _receiving(body, receive), send)
        finally:
            self._held -= body.size
        return None

    def _check_length(self, said: str | None, most: int) -> None:
        """Refuses by what is announced, before a byte of it is read. The server checked that it is a number."""
        length = int(said) if said else 0
        if length > most:
            raise _too_large(most)
        if self._held + length > self._limits.bodies_bytes:
            raise _overloaded()

    async def _receive(self, body: _Body, receive: Receive, most: int) -> bool:
        """Whether it came whole; else the client went away."""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            part = message.get("body", b"")
            body.received.write(part)
            body.size += len(part)
            self._held += len(part)
            if body.size > most:
                raise _too_large(most)
            if self._held > self._limits.bodies_bytes:
                raise _overloaded()
            if not message.get("more_body", False):
                return True


class _Body:
    """What was received of a request's body."""

    def __init__(self) -> None:
        self.received = io.BytesIO()  # grows as parts come; joined at the end, they would need as much memory once more
        self.size = 0

    def take(self) -> bytes:
        """All of it, without a copy. It is here no longer."""
        whole = self.received.getvalue()
        self.received = io.BytesIO()
        return whole


def _receiving(body: _Body, receive: Receive) -> Receive:
    """What gives the body once, and then what else happens."""
    is_given = False

    async def give() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body.take(), "more_body": False}

    return give


def _check_encodings(headers: Headers) -> None:
    """Refuses a body that is packed: a few bytes of it could be any number."""
    for name, plain in (("Content-Encoding", "identity"), ("Transfer-Encoding", "chunked")):
        said = [part.strip() for part in ",".join(headers.getlist(name)).split(",")]
        packed = [part for part in said if part and part.lower() != plain]
        if packed:
            raise RejectionError(
                415,
                "unsupported_media_type",
                f"the body is packed ({name}: {', '.join(packed)[:40]}), which is not read here; send it unpacked",
                param=name,
            )


def _too_large(most: int) -> RejectionError:
    advice = "; send fewer items in each" if most > _OPEN_BYTES else ""
    return RejectionError(413, "body_too_large", f"such a request has at most {most:,} bytes{advice}")


def _overloaded() -> RejectionError:
    return RejectionError(
        429, "overloaded", "the requests that are being answered hold all memory for bodies", retry_after=_RETRY_SECONDS
    )
