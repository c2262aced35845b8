"""A client's connection: how long its requests' headers may take, how long they may be, and how it ends."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from clipwright.server.gate.error_answers import answer_of
from clipwright.server.metrics import Metrics
from clipwright.server.rejection import RejectionError
from clipwright.server.settings import Limits

_HEADER_BYTES = 32 * 2**10
_FRAMING_BYTES = 32 * 2**10
_FRAMING_SHARE = 8
"""Bytes of chunks' sizes, extensions and trailers that may come with a byte of a body: the smallest chunk takes 5."""
_WAITING_REQUESTS = 16
"""Requests that may be sent ahead of the answers to those before."""
_EXTRA_CONNECTIONS = 64
"""Connections beyond the limit that are told so; more are cut."""
_LINGER_SECONDS = 2.0
"""How long a connection takes, after its last answer, what a client still sends, and throws it away. If it were closed
at once, the client's system would drop the answer before the client reads it."""
_FLUSH_SECONDS = 30.0
"""For a client to take the rest of an answer after which its connection is closed."""
_IDLE_SECONDS = 0.5
"""How long an idle connection stays open once the server stops: a request may be on its way."""


class Connection(HttpToolsProtocol):
    """uvicorn's, which reads a body no faster than the application takes it; with limits for all else.

    uvicorn has no settings for these: limit_concurrency counts requests, not connections; timeout_keep_alive ends with
    the first byte of a request, whose headers may then take for ever; h11_max_incomplete_event_size is for h11, which
    takes 55 ms for a body of 20 MB where httptools takes 21. Without what is here, uvicorn 0.54 kept slow headers for
    as long as they were watched, took 188 MB for 100 MB of one header and 7 MB for each connection with 64 kB of
    requests sent ahead, and kept answers that nobody reads. tests/server/gate has an attack for each method that is
    overridden here, and finds out whether uvicorn still calls it; uvicorn_range.py says with which versions.
    """

    def __init__(self, *, limits: Limits, metrics: Metrics, **server: Any) -> None:
        """server: what uvicorn gives its protocols."""
        super().__init__(**server)
        self._limits, self._metrics = limits, metrics
        self._header_timer: asyncio.TimerHandle | None = None
        self._end_timers: list[asyncio.TimerHandle] = []
        self._is_begun = False
        """Whether part of a request is here."""
        self._in_headers = True
        self._is_whole = True
        """Whether the last request that began is here to its last byte."""
        self._is_deaf = False
        """Whether what comes is thrown away."""
        self._header_bytes = self._framing_bytes = 0
        self._refusal: RejectionError | None = None
        self._unanswered: list[RequestResponseCycle] = []
        """Requests that came, the first of which is being answered."""

    # asyncio's stubs say BaseTransport, uvicorn says Transport.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport = cast(asyncio.Transport, _ClosedWithCare(transport, self._end))
        beyond = len(self.connections) - self._limits.connections
        if beyond > _EXTRA_CONNECTIONS:
            transport.abort()
        elif beyond > 0:
            self._is_whole = False
            self._refuse(
                RejectionError(429, "overloaded", "the server has all the connections it takes", retry_after=1)
            )
        else:
            self._start_header_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_header_timer()
        for timer in self._end_timers:
            timer.cancel()
        self._is_deaf = True
        super().connection_lost(exc)
        for cycle in self._unanswered:  # uvicorn tells the last one only
            cycle.disconnected = True
            cycle.message_event.set()

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        if self._in_headers and self._header_timer is None:
            self._start_header_timer()
        self._is_begun = True
        self._framing_bytes += len(data)
        super().data_received(data)
        if self._framing_bytes > _FRAMING_BYTES:
            self._refuse(_TOO_MUCH_AROUND)
        self._framing_bytes = max(self._framing_bytes, 0)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers, self._is_whole = True, False
        self._header_bytes = self._framing_bytes = 0
        if self._header_timer is None:
            self._start_header_timer()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_headers:  # not a trailer: nothing here knows of any, and what headers said has been acted upon
            self._count(len(name) + len(value))
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._stop_header_timer()
        if len(self.pipeline) >= _WAITING_REQUESTS:
            self._refusal = RejectionError(429, "overloaded", "too many requests at once on one connection")
            raise self._refusal
        super().on_headers_complete()
        self._unanswered = [cycle for cycle in (*self._unanswered, self.cycle) if not cycle.response_complete]

    def on_body(self, body: bytes) -> None:
        self._framing_bytes -= (_FRAMING_SHARE + 1) * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_headers = self._is_whole = True
        self._is_begun = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if self.cycle.response_complete and self.cycle.more_body:  # nobody waits for the rest of the request any more
            self.transport.close()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Called for what is not HTTP, and for what was raised above."""
        self._refuse(self._refusal or RejectionError(400, "invalid_request", "this is not a proper HTTP/1.1 request"))

    def shutdown(self) -> None:
        """Lets requests end that are here or on their way; gate/draining.py has their answers end the connection."""
        self.loop.call_later(_IDLE_SECONDS, self._close_if_idle)

    def _close_if_idle(self) -> None:
        last = self._last_cycle()
        if not self._is_begun and (last is None or last.response_complete):
            self.transport.close()

    def _last_cycle(self) -> RequestResponseCycle | None:
        """The request that came last; uvicorn does not say that at first there is none."""
        return self.cycle

    def _count(self, length: int) -> None:
        self._header_bytes += length
        if self._header_bytes > _HEADER_BYTES:
            self._refusal = RejectionError(
                431, "headers_too_large", f"a request's address and headers have at most {_HEADER_BYTES:,} bytes"
            )
            raise self._refusal

    def _start_header_timer(self) -> None:
        self._header_timer = self.loop.call_later(self._limits.header_seconds, self._end_slow_headers)

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _end_slow_headers(self) -> None:
        if self._is_begun:
            seconds = f"{self._limits.header_seconds:g}"
            self._refuse(
                RejectionError(408, "request_too_slow", f"the headers did not arrive within {seconds} seconds")
            )
        else:
            self.transport.close()

    def _refuse(self, rejection: RejectionError) -> None:
        """Answers what never became a request, and closes the connection."""
        if self._is_deaf:
            return
        self._is_deaf = True
        self._stop_header_timer()
        cycle = self._last_cycle()
        if cycle is not None and not cycle.response_complete:
            if not cycle.more_body:  # what came before is whole: it gets its answer, and nothing follows it
                cycle.keep_alive = False
                return
            if self.pipeline:  # other answers come first; then it waits for its body no longer than any other
                return
            if cycle.response_started:
                self.transport.close()
                return
        self._metrics.rejected(rejection.code)
        self.transport.write(_on_the_wire(rejection))
        self.transport.close()

    def _end(self, transport: asyncio.Transport) -> None:
        """Closes the connection once what was written is sent, and the client has read it if it still sends."""
        self._stop_header_timer()
        if not self._is_whole and transport.can_write_eof():
            self._is_deaf = True
            transport.write_eof()
            self.flow.resume_reading()
            self._end_timers.append(self.loop.call_later(_LINGER_SECONDS, transport.close))
        else:
            transport.close()
        self._end_timers.append(self.loop.call_later(_FLUSH_SECONDS, transport.abort))


class _ClosedWithCare:
    """A transport whose close() is another's affair, once."""

    def __init__(self, transport: asyncio.Transport, end: Any) -> None:
        self._transport, self._end = transport, end
        self._is_closing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._is_closing or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        if not self.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        if not self.is_closing():
            self._is_closing = True
            self._end(self._transport)


_TOO_MUCH_AROUND = RejectionError(
    431, "headers_too_large", "the request has too much around its body: headers, trailers or chunk extensions"
)


def _on_the_wire(rejection: RejectionError) -> bytes:
    answer = answer_of(rejection, close=True)
    lines = [f"HTTP/1.1 {answer.status_code} \r\n".encode()]
    lines += [name + b": " + value + b"\r\n" for name, value in answer.raw_headers]
    return b"".join([*lines, b"x-content-type-options: nosniff\r\ncache-control: no-store\r\n\r\n", bytes(answer.body)])


def connections(limits: Limits, metrics: Metrics) -> type[asyncio.Protocol]:
    """What uvicorn is given to make a connection's protocol with."""

    def make(config: Config, server_state: ServerState, app_state: dict[str, Any], **more: Any) -> Connection:
        return Connection(
            limits=limits, metrics=metrics, config=config, server_state=server_state, app_state=app_state, **more
        )

    return cast(type[asyncio.Protocol], make)
