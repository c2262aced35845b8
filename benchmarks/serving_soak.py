"""Does a server stay whole when for ten minutes one request in ten is hostile?

A real `clipwright serve` with an index of made-up photographs, clients that send what people send, and beside them what
nobody means well with (hostile_requests.py). Exit status 1 unless all of this holds:

- every good request was answered, and rightly; a 429 or 503 says when to try again, and trying again succeeds
- every hostile one was refused with 4xx or 503 and a record in JSON, or its connection ended; nothing was answered 500
- no answer holds a path of the server's disk or a traceback
- the resident memory of the server and its workers, after the warm-up, is flat: its median of the last fifth is at
  most --growth above that of the first
- workers are those of the beginning: nothing crashed
- at the end the server is ready, and gives the same vectors as in the beginning
- what is under way at SIGTERM is answered, and the exit status is 0

Run: python benchmarks/serving_soak.py [--model starter] [--seconds 600] [--clients 12]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from clipwright.evaluation.matrix_peak import processor_name
from good_requests import Good, GoodRequests
from hostile_requests import Attack, attacks
from http_exchange import Answer, Connection, connection, request_bytes
from running_servers import CLIPWRIGHT, RunningServer, clipwright_server
from serving_inputs import jpegs, picture_bodies, sentences, text_bodies, vectors_of

_PHOTOGRAPHS = 40
_TRIES = 60
_AT_ONCE = 40
"""Hostile requests under way at once; slow ones last a minute."""
_UPDATE_SECONDS = 20
_PROBES = 4
_SAME = 1e-3
"""The largest difference of a component of vectors that were computed in other company, in bf16."""


@dataclass
class Tally:
    """What happened."""

    good: Counter[str] = field(default_factory=Counter)
    """By kind."""
    hostile: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By kind and what came back."""
    refused: Counter[int] = field(default_factory=Counter)
    """Good requests that were told to try again, by status."""
    problems: Counter[str] = field(default_factory=Counter)
    """What must not be; one line each."""
    memory: list[tuple[float, int, int]] = field(default_factory=list)
    """Seconds, resident bytes of the server, and of its workers."""

    def problem(self, text: str) -> None:
        self.problems[text] += 1
        if self.problems[text] == 1:
            print(f"problem: {text}", file=sys.stderr, flush=True)


class Soak:
    """One run against one server."""

    def __init__(self, server: RunningServer, options: argparse.Namespace, secrets: tuple[bytes, ...]) -> None:
        self._server, self._options, self._secrets = server, options, secrets
        self.tally = Tally()
        self._random = random.Random(options.seed)
        self._attacks = attacks(self._random, server.port)
        self._under_attack: set[asyncio.Task[None]] = set()
        self._sent = itertools.count(1)
        self._end = 0.0

    async def go(self, good: GoodRequests) -> None:
        before = await self._probe()
        workers = self._workers()
        self._end = time.monotonic() + self._options.seconds
        watch = asyncio.create_task(self._watch_memory(workers))
        clients = [self._client(good) for _ in range(self._options.clients)]
        await asyncio.gather(*clients, self._update(good))
        await self._end_attacks()
        await watch
        after = await self._probe()
        if not np.allclose(before, after, atol=_SAME):
            self.tally.problem(f"vectors differ by {np.abs(before - after).max():.2g} from those of the beginning")
        if self._workers() != workers:
            self.tally.problem("a worker is not the one of the beginning")
        await self._stop(good)

    def _workers(self) -> set[int]:
        """What runs models; jobs that update the index come and go."""
        found = set()
        for process in self._server.processes()[1:]:
            with contextlib.suppress(psutil.NoSuchProcess):
                if "clipwright.server.models.worker" in process.cmdline():
                    found.add(process.pid)
        return found

    async def _client(self, good: GoodRequests) -> None:
        async with connection(self._server.port) as line:
            while time.monotonic() < self._end:
                if next(self._sent) % 9 == 0 and len(self._under_attack) < _AT_ONCE:
                    task = asyncio.create_task(self._attack(next(self._attacks)))
                    self._under_attack.add(task)
                    task.add_done_callback(self._under_attack.discard)
                await self._good(line, good.one())

    async def _update(self, good: GoodRequests) -> None:
        """A client that has the index brought up to date now and then."""
        while time.monotonic() < self._end:
            async with connection(self._server.port) as line:
                await self._good(line, good.update())
            await asyncio.sleep(min(_UPDATE_SECONDS, max(0.0, self._end - time.monotonic())))

    async def _good(self, line: Connection, one: Good) -> None:
        """Sends it until it is answered."""
        for _ in range(_TRIES):
            try:
                answer = await line.ask([(one.request, 0)])
            except TimeoutError:
                break
            if answer.status not in (429, 503):
                self._judge(one, answer)
                return
            self.tally.refused[answer.status] += 1
            if "retry-after" not in answer.headers:
                self.tally.problem(f"{one.kind}: {answer.status} without Retry-After")
            await asyncio.sleep(float(answer.headers.get("retry-after", 1)) * self._random.uniform(0.5, 1.5))
        self.tally.problem(f"{one.kind}: lost")

    def _judge(self, one: Good, answer: Answer) -> None:
        self._look_for_secrets(one.kind, answer)
        try:
            right = answer.status in one.statuses and one.right(answer)
        except (KeyError, TypeError, ValueError):
            right = False
        if right:
            self.tally.good[one.kind] += 1
        else:
            self.tally.problem(f"{one.kind}: answered {answer.status} {answer.body[:300]!r}")

    async def _attack(self, attack: Attack) -> None:
        async with connection(self._server.port) as line:
            try:
                answer = await line.ask(attack.steps, leave=attack.leave, hold=attack.hold)
            except TimeoutError:
                self.tally.problem(f"{attack.kind}: no answer")
                return
        came = "gone" if attack.leave else str(answer.status or "closed")
        self.tally.hostile[attack.kind, came] += 1
        self._look_for_secrets(attack.kind, answer)
        if attack.leave or (answer.status is None and attack.may_close):
            return
        if answer.status not in attack.allowed:
            self.tally.problem(f"{attack.kind}: answered {answer.status} {answer.body[:300]!r}")
        elif answer.status != 200 and not _is_record(answer):
            self.tally.problem(f"{attack.kind}: {answer.status} is no record in JSON: {answer.body[:300]!r}")

    def _look_for_secrets(self, kind: str, answer: Answer) -> None:
        for secret in (*self._secrets, b"Traceback (most recent", b"site-packages"):
            if secret in answer.body:
                self.tally.problem(f"{kind}: the answer has {secret!r} in it")

    async def _end_attacks(self) -> None:
        """Lets them finish, but for those that would take minutes."""
        if self._under_attack:
            _, late = await asyncio.wait(self._under_attack, timeout=10)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _watch_memory(self, workers: set[int]) -> None:
        begun = time.monotonic()
        server = psutil.Process(self._server.process.pid)
        with contextlib.suppress(psutil.NoSuchProcess):  # that workers stay is checked apart
            running = [psutil.Process(pid) for pid in workers]
            while time.monotonic() < self._end:
                of_workers = sum(process.memory_info().rss for process in running)
                self.tally.memory.append((time.monotonic() - begun, server.memory_info().rss, of_workers))
                await asyncio.sleep(0.5)

    async def _probe(self) -> np.ndarray:
        """(N, D): vectors of texts and pictures that are always the same. Notes where the server is not ready."""
        async with connection(self._server.port) as line:
            ready = await line.ask([(request_bytes("GET", "/readyz", self._server.port), 0)])
            if ready.status != 200:
                self.tally.problem(f"/readyz: {ready.status} {ready.body[:300]!r}")
            bodies = text_bodies(self._server.model, sentences(_PROBES))
            bodies += picture_bodies(self._server.model, jpegs(_PROBES))
            rows = []
            for body in bodies:
                answer = await line.ask([(request_bytes("POST", "/v1/embeddings", self._server.port, body), 0)])
                rows.append(vectors_of(answer.json()))
        return np.concatenate(rows)

    async def _stop(self, good: GoodRequests) -> None:
        """SIGTERM with requests under way."""
        lines = [Connection(self._server.port) for _ in range(20)]
        for line in lines:  # connected, and once answered
            await line.ask([(request_bytes("GET", "/healthz", self._server.port), 0)])
        ones = [good.pictures() for _ in lines]
        asked = [asyncio.create_task(line.ask([(one.request, 0)])) for line, one in zip(lines, ones, strict=True)]
        await asyncio.sleep(0.05)
        self._server.process.send_signal(signal.SIGTERM)
        for one, answer in zip(ones, await asyncio.gather(*asked), strict=True):
            if answer.status == 503 and _is_record(answer):
                self.tally.refused[503] += 1
            else:
                self._judge(one, answer)
        for line in lines:
            line.close()
        status = await asyncio.to_thread(self._server.process.wait, 60)
        if status != 0:
            self.tally.problem(f"the server ended with status {status}")


def _is_record(answer: Answer) -> bool:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        error = answer.json()["error"]
        return {"code", "message", "type", "param", "index"} <= set(error) and bool(error["message"])
    return False


def growth(memory: list[tuple[float, int, int]], warm_up: float) -> tuple[float, float, float]:
    """Share by which the median of the last fifth is above that of the first; and both, in bytes."""
    totals = [server + workers for moment, server, workers in memory if moment >= warm_up]
    fifth = max(1, len(totals) // 5)
    first, last = statistics.median(totals[:fifth]), statistics.median(totals[-fifth:])
    return last / first - 1, first, last


def report(tally: Tally, options: argparse.Namespace) -> None:
    print("\n| what | answered |\n|---|---|")
    for kind, count in sorted(tally.good.items()):
        print(f"| {kind} | {count:,} |")
    print(f"| good requests in all | {sum(tally.good.values()):,} |")
    print(f"| of them first told to try again | {dict(tally.refused) or 0} |")
    by_kind: dict[str, list[str]] = {}
    for (kind, came), count in sorted(tally.hostile.items()):
        by_kind.setdefault(kind, []).append(f"{came}: {count}")
    print("\n| hostile | what came back |\n|---|---|")
    for kind, came_back in by_kind.items():
        print(f"| {kind} | {', '.join(came_back)} |")
    print(f"| in all | {sum(tally.hostile.values()):,} |")
    print("\n| resident memory, medians, MB | server | workers | both |\n|---|---|---|---|")
    step = max(1, len(tally.memory) // 10)
    for start in range(0, len(tally.memory), step):
        part = np.array(tally.memory[start : start + step])
        server, workers = np.median(part[:, 1]) / 1e6, np.median(part[:, 2]) / 1e6
        minute = f"{part[0, 0]:,.0f} to {part[-1, 0]:,.0f} s"
        print(f"| {minute} | {server:,.0f} | {workers:,.0f} | {np.median(part[:, 1:].sum(axis=1)) / 1e6:,.0f} |")
    share, first, last = growth(tally.memory, options.warm_up)
    print(
        f"\nAfter {options.warm_up:.0f} s of warm-up, memory went from {first / 1e6:,.0f} to {last / 1e6:,.0f} MB: ",
        end="",
    )
    print(f"{share:+.1%}, at most {options.growth:+.0%} is allowed.")


@contextlib.contextmanager
def collection(model: str, folder: Path) -> Iterator[Path]:
    """An index of made-up photographs."""
    photographs = folder / "photographs"
    photographs.mkdir()
    for number, picture in enumerate(jpegs(_PHOTOGRAPHS, 320)):
        (photographs / f"{number}.jpg").write_bytes(picture)
    database = folder / "photos.db"
    command = [*CLIPWRIGHT, "index", str(photographs), "--index", str(database), "--model", model, "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    yield database


def known_photographs(port: int) -> tuple[int, ...]:
    async def ask() -> Answer:
        async with connection(port) as line:
            return await line.ask([(request_bytes("POST", "/v1/search", port, b'{"limit": 1000}'), 0)])

    answer = asyncio.run(ask())
    if answer.status != 200:
        print(f"no searches: /v1/search answers {answer.status}", file=sys.stderr)
        return ()
    return tuple(hit["id"] for hit in answer.json()["data"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--warm-up", type=float, help="seconds; default: a fifth")
    parser.add_argument("--growth", type=float, default=0.05, help="of memory that is allowed")
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--port", type=int, default=8601)
    options = parser.parse_args()
    options.warm_up = options.seconds / 5 if options.warm_up is None else options.warm_up
    print(f"# A server under good and hostile requests\n\n- {processor_name()}, {psutil.cpu_count()} cores")
    print(f"- {options.model}; {options.clients} clients for {options.seconds:.0f} s; one request in ten is hostile")
    with (
        tempfile.TemporaryDirectory(prefix="soak-of-a-server-") as folder,
        collection(options.model, Path(folder)) as database,
        clipwright_server(options.model, options.port, database=database) as server,
    ):
        soak = Soak(server, options, (folder.encode(),))
        good = GoodRequests(server.port, known_photographs(server.port), options.seed)
        asyncio.run(soak.go(good))
    tally = soak.tally
    report(tally, options)
    share, *_ = growth(tally.memory, options.warm_up)
    if share > options.growth:
        tally.problem(f"memory grew by {share:.1%}")
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(f"The clients took {used.ru_utime + used.ru_stime:,.0f} s of processor time.")
    print(f"\nProblems: {tally.problems.total() or 'none'}")
    for text, count in tally.problems.most_common(50):
        print(f"- {count} x {text}")
    sys.exit(1 if tally.problems else 0)


if __name__ == "__main__":
    main()
