"""How soon does a search over HTTP answer, and how soon are its first thumbnails there?

The collection is the one of made_up_collection.py in the space of a model that is served, with thumbnails; it is made
if it is not there. Each search asks for words that were not asked for before, as the page does: near-identical shots
folded, the first 50. Then the first 24 thumbnails are fetched over six connections, as a browser does. One client,
over loopback, ten searches before those that count.
Run: python benchmarks/serving_search.py [--rows 100000] [--folder /var/tmp/cw-serve-100k] [--searches 200]
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from clipwright.embedding.load import load_embedder
from clipwright.tasks.background import BACKGROUND_CAPTIONS
from machine import describe
from made_up_collection import make_collection
from running_servers import clipwright_server
from serving_inputs import sentences

THUMBNAILS, CONNECTIONS = 24, 6
_FIRST = 10
SEARCHES: tuple[tuple[str, Callable[[str], dict[str, Any]]], ...] = (
    ("as the page asks: words, folded", lambda words: {"query": words, "unique": True}),
    ("words, not folded", lambda words: {"query": words}),
    ("words and a date", lambda words: {"query": words, "unique": True, "filters": {"after": "2015"}}),
    ("two parts joined by AND NOT", lambda words: {"query": f"{words} AND NOT people", "unique": True}),
    ("like a photograph", lambda words: {"like": 1 + hash(words) % 1000, "unique": True}),
    ("the newest, no words", lambda words: {"offset": hash(words) % 1000}),
)


class Connection:
    """Kept open from request to request, and waited for."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        """The body of the answer. Ends the program where it is a refusal."""
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self._socket.sendall(f"{head}\r\n".encode() + body)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._socket.recv(1 << 16)
        about, _, content = received.partition(b"\r\n\r\n")
        length = int(about.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(content) < length:
            content += self._socket.recv(1 << 20)
        if not about.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"{method} {path}: {about.decode()}\n{content[:1000].decode()}")
        return content


def ensure_collection(folder: Path, rows: int, model: str) -> Path:
    """Its database."""
    if (folder / "photos.db").exists():
        return folder / "photos.db"
    embedder = load_embedder(model)
    background = embedder.embed_texts(BACKGROUND_CAPTIONS)
    return make_collection(folder, rows, embedder.space_id, embedder.name, background, thumbnails=True)


def measure(port: int, searches: int) -> None:
    connections = [Connection(port) for _ in range(CONNECTIONS)]
    words = iter(sentences(len(SEARCHES) * (searches + _FIRST), seed=1))
    with ThreadPoolExecutor(CONNECTIONS) as threads:

        def fetch(paths: Sequence[str]) -> None:
            shares = [paths[number::CONNECTIONS] for number in range(CONNECTIONS)]
            list(
                threads.map(
                    lambda pair: [pair[0].ask("GET", path) for path in pair[1]], zip(connections, shares, strict=True)
                )
            )

        for what, body_of in SEARCHES:
            found, inside, shown = [], [], []
            for number in range(searches + _FIRST):
                body = json.dumps({**body_of(next(words)), "limit": 50}).encode()
                start = time.perf_counter()
                answer = json.loads(connections[0].ask("POST", "/v1/search", body))
                answered = time.perf_counter()
                fetch([hit["thumbnail"] for hit in answer["data"][:THUMBNAILS]])
                if number >= _FIRST:
                    found.append(answered - start)
                    inside.append(answer["seconds"])
                    shown.append(time.perf_counter() - answered)
            both = [sum(pair) for pair in zip(found, shown, strict=True)]
            print(f"| {what} | {' | '.join(map(spread, (inside, found, shown, both)))} |", flush=True)


def spread(seconds: Sequence[float]) -> str:
    return f"{1000 * statistics.median(seconds):.1f}, {1000 * statistics.quantiles(seconds, n=20)[-1]:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp/cw-serve-100k"))
    parser.add_argument("--model", default="starter")
    parser.add_argument("--searches", type=int, default=200)
    parser.add_argument("--port", type=int, default=8401)
    options = parser.parse_args()
    database = ensure_collection(options.folder, options.rows, options.model)
    print(f"# Searching {options.rows:,} photographs over HTTP\n\n{describe()}")
    print(f"- model {options.model}, {options.searches} searches each, one client, loopback")
    print("- ms: median, 95th percentile\n")
    print(f"| search | in the server | answered | then {THUMBNAILS} thumbnails | both |\n|---|---|---|---|---|")
    with clipwright_server(options.model, options.port, ["--no-update"], database=database) as server:
        measure(server.port, options.searches)


if __name__ == "__main__":
    main()
