"""A server with the gate of every server, and routes behind it that tests can see through; no model, no index."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI, Request
from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse

from clipwright.errors import CheckpointError, IndexFileError, QueryError, UnknownModelError
from clipwright.server.app import create_app
from clipwright.server.rejection import ItemFault, RejectionError
from clipwright.server.settings import Limits, ServerSettings
from tests.server.serving import Serving, serving

SECRET_PATH = "/home/ada/private/photos.db"
_PATIENCE = 60.0
RAISED: dict[str, Exception] = {
    "bug": AssertionError(f"broken at {SECRET_PATH}"),
    "checkpoint": CheckpointError(f"{SECRET_PATH} is damaged"),
    "index": IndexFileError(f"{SECRET_PATH} is no index"),
    "model": UnknownModelError(f"no model {SECRET_PATH}"),
    "query": QueryError("the query ends after '-'"),
    "long": RejectionError(404, "unknown_model", f"no model {'x' * 1_000_000}"),
    "letters": RejectionError(422, "invalid_request", "half a letter: \ud800"),
    "items": RejectionError.of_items(
        [ItemFault(2, "truncated", "the file ends before the picture does"), ItemFault(5, "empty", "the file is empty")]
    ),
    "later": RejectionError(503, "worker_restarting", "the model is being started again", retry_after=1.2),
    "disk": OSError(28, "No space left on device", SECRET_PATH),
}


class Numbers(BaseModel):
    numbers: list[int]


@dataclass
class Seen:
    """What happened behind the gate."""

    bodies: int = 0
    begun: int = 0
    ended: int = 0
    cancelled: int = 0


def gated_app(settings: ServerSettings) -> tuple[FastAPI, Seen]:
    app, seen = create_app(settings), Seen()

    @contextlib.asynccontextmanager
    async def nothing(_: FastAPI) -> AsyncIterator[None]:
        yield

    app.router.lifespan_context = nothing

    @app.post("/test/echo")
    async def echo(request: Request) -> dict[str, int]:
        body = await request.body()
        seen.bodies += 1
        return {"bytes": len(body), "sum": int(np.frombuffer(body, np.uint8).sum())}

    @app.get("/test/wait")
    async def wait(seconds: float) -> dict[str, bool]:
        seen.begun += 1
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            seen.cancelled += 1
            raise
        seen.ended += 1
        return {"waited": True}

    @app.get("/test/raise/{what}")
    async def fail(what: str) -> None:
        raise RAISED[what]

    @app.post("/test/numbers")
    async def total(numbers: Numbers) -> int:
        return sum(numbers.numbers)

    @app.get("/test/large")
    async def large() -> Response:
        return Response(bytes(30_000_000))

    @app.get("/test/stream")
    async def stream(parts: int, breaks: bool = False) -> StreamingResponse:
        async def produce() -> AsyncIterator[bytes]:
            for _ in range(parts):
                yield bytes(100_000)
            if breaks:
                raise AssertionError("in the middle")

        return StreamingResponse(produce())

    return app, seen


@dataclass(frozen=True)
class Gated:
    """One that runs."""

    serving: Serving
    seen: Seen

    @property
    def client(self) -> Any:
        return self.serving.client

    def connect(self) -> socket.socket:
        """To be closed by the caller."""
        return socket.create_connection(("127.0.0.1", self.serving.port), timeout=_PATIENCE)


@contextlib.contextmanager
def gated(folder: Path, limits: Limits | None = None, **settings: Any) -> Iterator[Gated]:
    base = ServerSettings(models=("none",), database=folder / "photos.db", limits=limits or Limits())
    given = replace(base, **settings)
    app, seen = gated_app(given)
    with serving(given, app) as running:
        yield Gated(running, seen)


@dataclass(frozen=True)
class RawAnswer:
    """What came back over a socket."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float
    """From the call of read_answer until it was here."""

    @property
    def code(self) -> str:
        code: str = json.loads(self.body)["error"]["code"]
        return code


def read_answer(connection: socket.socket, method: str = "GET") -> RawAnswer:
    begun = time.perf_counter()
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    body = response.read()
    headers = {name.lower(): value for name, value in response.getheaders()}
    answer = RawAnswer(response.status, headers, body, time.perf_counter() - begun)
    response.close()
    return answer


def is_closed(connection: socket.socket) -> bool:
    """Whether the server ends the connection, sending nothing more."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def wait_until(condition: Any) -> None:
    """Gives up late: this is no measurement."""
    end = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)
