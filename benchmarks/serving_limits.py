"""How quickly does a server refuse what is beyond its limits, and without opening it?

Each request is sent a number of times over a connection that is open already. Measured is the time from the last byte
sent to the first of the answer. The worker's processor time and the batches that it ran tell whether anything was
decoded or embedded meanwhile: nothing may be. Asked: 4xx in less than 50 ms. Exit status 1 where one is slower, or is
not refused.
Run: python benchmarks/serving_limits.py [--model starter] [--times 20]
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import re
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from hostile_requests import png_bomb
from http_exchange import Answer, connection, form, request_bytes
from machine import describe
from running_servers import RunningServer, clipwright_server
from serving_inputs import jpegs

_ASKED = 0.050
_AT_ONCE, _ARRIVAL = 2**20, 0.2
"""Of a larger request the last byte is sent later by so many seconds, when the others have arrived."""
_IDLE = 0.005
"""Seconds of the worker that count as none. To open one of these pictures would take a hundred times as long."""


@dataclass(frozen=True)
class Limit:
    """A request beyond one limit."""

    name: str
    request: bytes


def limits(port: int) -> Sequence[Limit]:
    """With the limits as they are by default (server/settings.py)."""

    def post(path: str, content: object) -> bytes:
        return request_bytes("POST", path, port, json.dumps(content).encode())

    def upload(picture: bytes) -> bytes:
        body, header = form([("input", "a.png", picture)])
        return request_bytes("POST", "/v1/embeddings", port, body, header)

    def uri(picture: bytes) -> str:
        return "data:image/png;base64," + base64.b64encode(picture).decode()

    small = uri(jpegs(1, 64)[0])
    announced = request_bytes("POST", "/v1/embeddings", port, b"", {"Content-Length": str(65 * 2**20)})
    heavy = jpegs(1)[0] + bytes(21 * 2**20)
    return (
        Limit("a body of 65 MiB, announced", announced),
        Limit("a picture of 21 MiB, uploaded", upload(heavy)),
        Limit("a picture of 21 MiB, in JSON", post("/v1/embeddings", {"input": uri(heavy)})),
        Limit("a picture of 102 megapixels, uploaded", upload(png_bomb(10_100))),
        Limit("a picture of 3,600 megapixels, in JSON", post("/v1/embeddings", {"input": uri(png_bomb())})),
        Limit("65 pictures", post("/v1/embeddings", {"input": [small] * 65})),
        Limit("65 pictures to classify", post("/v1/classify", {"images": [small] * 65, "labels": ["a", "b"]})),
        Limit("2,049 texts", post("/v1/embeddings", {"input": ["a dog"] * 2049})),
        Limit("a text of 8,001 letters", post("/v1/embeddings", {"input": "a" * 8001})),
        Limit("1,001 labels", post("/v1/classify", {"images": [small], "labels": [str(n) for n in range(1001)]})),
        Limit("tokens for text", post("/v1/embeddings", {"input": [[1, 2, 3]]})),
        Limit("a query of 2,001 letters", post("/v1/search", {"query": "a" * 2001})),
        Limit("an address to fetch", post("/v1/embeddings", {"input": "http://10.0.0.1/", "modality": "image"})),
        Limit("JSON 100,000 deep", request_bytes("POST", "/v1/embeddings", port, b"[" * 100_000)),
        Limit("another media type", request_bytes("POST", "/v1/embeddings", port, b"a", {"Content-Type": "a/b"})),
        Limit("another host", request_bytes("GET", "/v1/models", port, headers={"Host": "evil.example"})),
    )


async def refusals(port: int, limit: Limit, times: int) -> list[Answer]:
    answers = []
    for _ in range(times):
        async with connection(port) as line:
            await line.ask([(request_bytes("GET", "/healthz", port), 0)])
            pause = _ARRIVAL if len(limit.request) > _AT_ONCE else 0
            answers.append(await line.ask([(limit.request[:-1], 0), (limit.request[-1:], pause)]))
    return answers


def work_done(server: RunningServer) -> tuple[float, float]:
    """Processor seconds of the workers, and items that were embedded, until now."""
    seconds = sum(sum(process.cpu_times()[:2]) for process in server.processes()[1:])
    text = server.get("/metrics")[1].decode()
    items = sum(float(value) for value in re.findall(r"^clipwright_batch_items_sum\S* (\S+)$", text, re.MULTILINE))
    return seconds, items


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--port", type=int, default=8601)
    options = parser.parse_args()
    failed = False
    print(f"# Refusing what is beyond a limit\n\n{describe()}\n- {options.model}, each {options.times} times\n")
    print("| beyond the limit | answered | median ms | slowest ms | of the worker, ms each | embedded |")
    print("|---|---|---|---|---|---|")
    with clipwright_server(options.model, options.port) as server:
        for limit in limits(server.port):
            asyncio.run(refusals(server.port, limit, 1))  # what is imported at first is
            before = work_done(server)
            answers = asyncio.run(refusals(server.port, limit, options.times))
            after = work_done(server)
            seconds = [answer.seconds for answer in answers]
            worker, items = (after[0] - before[0]) / options.times, after[1] - before[1]
            statuses = {answer.status for answer in answers}
            good = all(status is not None and 400 <= status < 500 for status in statuses)
            good = good and max(seconds) < _ASKED and not items and worker < _IDLE
            failed = failed or not good
            shown = ", ".join(str(status or "closed") for status in statuses)
            print(f"| {limit.name} | {shown} | {1000 * statistics.median(seconds):.1f} | ", end="")
            print(
                f"{1000 * max(seconds):.1f} | {1000 * worker:.1f} | {items:.0f} |{'' if good else ' **no**'}",
                flush=True,
            )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
