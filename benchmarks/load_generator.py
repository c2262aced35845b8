"""Sends requests to a server and measures how long answers take, in a process of its own.

Client and server share the machine, so a client must be light, and what it takes must be known: requests are made
beforehand as the bytes that go over the line, answers are split by httptools (in C) and not looked at, and the
process's own processor time is part of the result. Closed loop: a number of clients, each with one connection and one
request under way. Open loop: requests begin at moments of a Poisson process, whatever the answers do.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httptools
import numpy as np
import psutil
import uvloop

_MOST_CONNECTIONS = 512
"""Of an open loop; a request that finds them all busy waits for one, and its latency counts from when it was due."""
_PATIENCE = 60.0
"""Seconds that answers are waited for after the last request."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is sent, and how."""

    port: int
    path: str
    bodies: Sequence[bytes]
    """JSON. Sent one after the other, by whichever client is free; after the last comes the first again."""
    clients: int | None = None
    """Of a closed loop; None: an open one."""
    rate: float = 0.0
    """Requests a second of an open loop."""
    seconds: float
    """That requests are begun for. Nothing is measured of the first part, warm_up."""
    warm_up: float = 2.0
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What came back in the measured time."""

    latencies: np.ndarray
    """(N,) seconds from a request's first byte, or where it came late from when it was due, to its answer's last."""
    rate: float
    """Good answers a second, between the last ones before the start and before the end of the measured time."""
    statuses: dict[str, int]
    """By HTTP status, of all answers, those of the warm-up too; 'broken' is a connection that ended instead."""
    processor_seconds: float
    """Of the generator, in all of its time."""
    wall_seconds: float
    """The generator's time, the warm-up and the wait for the last answers with it."""
    lateness: np.ndarray
    """(N,) seconds that requests of an open loop began after they were due."""
    first: dict[str, Any]
    """The first good answer."""
    busy_cores: float = 0.0
    """Processor cores in use meanwhile, by whatever runs on the machine."""

    def percentile(self, share: float) -> float:
        """Seconds, e.g. for 99."""
        return float(np.percentile(self.latencies, share)) if len(self.latencies) else float("nan")

    @property
    def cores(self) -> float:
        """Processor cores that the generator used."""
        return self.processor_seconds / self.wall_seconds

    @property
    def all_good(self) -> bool:
        return set(self.statuses) == {"200"}


def send(load: Load) -> Answers:
    """The answers to a load, sent by a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        requests = Path(folder) / "requests"
        requests.write_bytes(b"".join(_as_sent(load, body) for body in load.bodies))
        lengths = [len(_as_sent(load, body)) for body in load.bodies]
        job = {name: getattr(load, name) for name in ("port", "clients", "rate", "seconds", "warm_up", "seed")}
        job |= {"requests": str(requests), "lengths": lengths}
        command = [sys.executable, __file__]
        limit = load.seconds + _PATIENCE + 60
        begun, busy = time.perf_counter(), _busy_seconds()
        done = subprocess.run(
            command, input=json.dumps(job).encode(), stdout=subprocess.PIPE, check=True, timeout=limit
        )
        busy, wall = _busy_seconds() - busy, time.perf_counter() - begun
    result = {**json.loads(done.stdout), "busy_cores": busy / wall}
    for name in ("latencies", "lateness"):
        result[name] = np.array(result[name])
    return Answers(**result)


def _busy_seconds() -> float:
    """Of all processors, since the machine was started."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def _as_sent(load: Load, body: bytes) -> bytes:
    head = (
        f"POST {load.path} HTTP/1.1\r\nHost: 127.0.0.1:{load.port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Connection(asyncio.Protocol):
    """One connection, with at most one request under way."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._body: list[bytes] | None = None
        self._due = 0.0
        self.answered: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @property
    def open(self) -> bool:
        return self._transport is not None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def send(self, request: bytes, due: float | None = None) -> asyncio.Future[None]:
        """Done when the answer is there, or will not come."""
        assert self._transport is not None
        assert self.answered is None
        self._parser = httptools.HttpResponseParser(self)
        self._body = [] if self._run.first is None else None
        self.answered = asyncio.get_running_loop().create_future()
        self._due = time.perf_counter() if due is None else due
        self._transport.write(request)
        return self.answered

    def data_received(self, data: bytes) -> None:
        if self.answered is not None:
            self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        if self._body is not None:
            self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == 200 and self._body is not None and self._run.first is None:
            self._run.first = b"".join(self._body)
        self._finish(str(status))

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self.answered is not None:
            self._finish("broken")

    def _finish(self, status: str) -> None:
        self._run.note(status, self._due)
        answered, self.answered = self.answered, None
        if answered is not None and not answered.done():
            answered.set_result(None)


class _Run:
    """One load while it is sent."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job
        whole = Path(job["requests"]).read_bytes()
        ends = np.cumsum(job["lengths"]).tolist()
        self._requests = [whole[end - length : end] for end, length in zip(ends, job["lengths"], strict=True)]
        self._sent = 0
        self.first: bytes | None = None
        self._statuses: Counter[str] = Counter()
        self._good: list[tuple[float, float]] = []
        self._lateness: list[float] = []

    def note(self, status: str, due: float) -> None:
        self._statuses[status] += 1
        if status == "200":
            now = time.perf_counter()
            self._good.append((now, now - due))

    async def go(self) -> dict[str, Any]:
        begun = time.perf_counter()
        start, end = begun + self._job["warm_up"], begun + self._job["seconds"]
        if self._job["clients"] is not None:
            clients = [self._client(end) for _ in range(self._job["clients"])]
            await asyncio.wait_for(asyncio.gather(*clients), self._job["seconds"] + _PATIENCE)
        else:
            await self._arrivals(begun, start, end)
        used = resource.getrusage(resource.RUSAGE_SELF)
        # In a closed loop answers come in bursts as large as a batch; from burst to burst no part of one is counted.
        times = np.array([moment for moment, _ in self._good])
        latencies = np.array([latency for _, latency in self._good])
        first, last = np.searchsorted(times, [start, end]) - 1
        rate = float((last - first) / (times[last] - times[first])) if 0 <= first < last else float("nan")
        return {
            "latencies": latencies[max(0, first + 1) :].tolist(),
            "rate": rate,
            "statuses": dict(self._statuses),
            "processor_seconds": used.ru_utime + used.ru_stime,
            "wall_seconds": time.perf_counter() - begun,
            "lateness": self._lateness,
            "first": json.loads(self.first or b"{}"),
        }

    def _next(self) -> bytes:
        self._sent += 1
        return self._requests[(self._sent - 1) % len(self._requests)]

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._job["port"])
        return connection

    async def _client(self, end: float) -> None:
        connection = await self._connect()
        while time.perf_counter() < end:
            if not connection.open:
                connection = await self._connect()
            good = self._statuses["200"]
            await connection.send(self._next())
            if self._statuses["200"] == good:  # refused: not again at once
                await asyncio.sleep(0.05)
        connection.close()

    async def _arrivals(self, begun: float, start: float, end: float) -> None:
        """Sends at moments whose distances are drawn from the exponential distribution."""
        generator = random.Random(self._job["seed"])
        # Connections are made beforehand, as clients that stay have them. They take turns: none is idle for long.
        idle: asyncio.Queue[_Connection] = asyncio.Queue()
        for _ in range(32):
            idle.put_nowait(await self._connect())
        made = idle.qsize()
        under_way: set[asyncio.Task[None]] = set()
        due = time.perf_counter()
        while (due := due + generator.expovariate(self._job["rate"])) < end:
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            if idle.empty() and made < _MOST_CONNECTIONS:
                idle.put_nowait(await self._connect())
                made += 1
            connection = await idle.get()
            if not connection.open:
                connection = await self._connect()
            if due >= start:
                self._lateness.append(time.perf_counter() - due)
            task = asyncio.create_task(self._one(connection, due, idle))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        if under_way:
            await asyncio.wait(under_way, timeout=_PATIENCE)
        while not idle.empty():
            idle.get_nowait().close()

    async def _one(self, connection: _Connection, due: float, idle: asyncio.Queue[_Connection]) -> None:
        await connection.send(self._next(), due)
        idle.put_nowait(connection)


def main() -> None:
    job = json.loads(sys.stdin.read())
    print(json.dumps(uvloop.run(_Run(job).go())))


if __name__ == "__main__":
    main()
