from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from clipwright.server.settings import Limits
from tests.server.gate.gated import Gated, gated, is_closed, read_answer, wait_until

LIMITS = Limits(body_bytes=1_000_000, bodies_bytes=2_500_000, body_seconds=0.5)
HEAD = b"POST /test/echo HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gated]:
    with gated(tmp_path_factory.mktemp("gated"), LIMITS) as running:
        yield running


def test_a_body_arrives_whole_however_it_is_sent(server: Gated) -> None:
    body = np.random.default_rng(0).integers(0, 256, LIMITS.body_bytes, np.uint8).tobytes()
    expected = {"bytes": len(body), "sum": int(np.frombuffer(body, np.uint8).sum())}
    assert server.client.post("/test/echo", content=body).json() == expected
    parts = (body[start : start + 33_333] for start in range(0, len(body), 33_333))
    assert server.client.post("/test/echo", content=parts).json() == expected
    assert server.client.post("/test/echo").json() == {"bytes": 0, "sum": 0}


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ([("Content-Encoding", "gzip")], "Content-Encoding: gzip"),
        ([("Content-Encoding", "X-GZIP")], "Content-Encoding: X-GZIP"),
        ([("Content-Encoding", "deflate, br")], "Content-Encoding: deflate, br"),
        ([("Content-Encoding", "identity"), ("Content-Encoding", "zstd")], "Content-Encoding: zstd"),
        ([("Transfer-Encoding", "gzip, chunked")], "Transfer-Encoding: gzip"),
    ],
)
def test_a_packed_body_is_refused_by_name_before_a_byte_of_it_is_read(
    server: Gated, headers: list[tuple[str, str]], named: str
) -> None:
    before = server.seen.bodies
    with server.connect() as connection:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers).encode()
        length = b"" if b"Transfer" in lines else b"Content-Length: 900000\r\n"
        connection.sendall(HEAD + lines + length + b"\r\n")
        answer = read_answer(connection)
    assert (answer.status, answer.code) == (415, "unsupported_media_type")
    assert named in json.loads(answer.body)["error"]["message"]
    assert answer.headers.get("accept-encoding") == ("identity" if named.startswith("Content") else None)
    assert server.seen.bodies == before


@pytest.mark.parametrize("encoding", ["identity", "Identity, identity", ""])
def test_a_body_that_is_said_to_be_plain_is_read(server: Gated, encoding: str) -> None:
    answer = server.client.post("/test/echo", content=b"abc", headers={"Content-Encoding": encoding})
    assert answer.json()["bytes"] == 3


def test_an_announced_body_that_is_too_large_is_refused_before_a_byte_of_it_came(server: Gated) -> None:
    before = server.seen.bodies
    with server.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 1000001\r\n\r\n")
        answer = read_answer(connection)
        assert (answer.status, answer.code) == (413, "body_too_large")
        assert answer.headers["connection"] == "close"
        assert is_closed(connection)
    assert server.seen.bodies == before


def test_a_client_that_waits_for_a_go_ahead_gets_the_refusal_instead(server: Gated) -> None:
    with server.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 9999999\r\nExpect: 100-continue\r\n\r\n")
        assert read_answer(connection).status == 413


def test_a_chunked_body_is_refused_as_soon_as_it_is_too_large(server: Gated) -> None:
    before = server.seen.bodies
    with server.connect() as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
        for _ in range(16):  # one more than a megabyte holds; the last one is not sent
            connection.sendall(chunk)
        answer = read_answer(connection)
    assert (answer.status, answer.code) == (413, "body_too_large")
    assert server.seen.bodies == before


def test_a_client_that_sends_on_after_a_refusal_can_still_read_it(server: Gated) -> None:
    answer = server.client.post("/test/echo", content=bytes(20_000_000))
    assert answer.status_code == 413
    assert "1,000,000 bytes" in answer.json()["error"]["message"]


def test_bodies_of_all_requests_together_are_bounded(server: Gated) -> None:
    def begin() -> socket.socket:
        connection = server.connect()
        connection.sendall(HEAD + b"Content-Length: 1000000\r\n\r\n" + bytes(900_000))
        return connection

    def held() -> bool:
        answer = server.client.post("/test/echo", content=bytes(800_000))
        assert answer.status_code in (200, 429)
        return bool(answer.status_code == 429)

    first, second = begin(), begin()
    try:
        wait_until(held)
        answer = server.client.post("/test/echo", content=bytes(800_000))
        assert answer.json()["error"]["code"] == "overloaded"
        assert answer.headers["retry-after"] == "1"
    finally:
        first.close()
        second.close()
    wait_until(lambda: not held())  # nothing stays counted


@pytest.mark.parametrize("framing", [b"Content-Length: 1000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n"])
def test_a_body_that_trickles_is_given_up(server: Gated, framing: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(HEAD + framing)
        stop = threading.Event()

        def trickle() -> None:
            while not stop.wait(0.05):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

        sender = threading.Thread(target=trickle)
        sender.start()
        try:
            answer = read_answer(connection)
        finally:
            stop.set()
            sender.join()
    assert (answer.status, answer.code) == (408, "request_too_slow")


def test_endless_chunk_extensions_and_trailers_are_cut_off(server: Gated) -> None:
    for sent in (b"1;" + b"x" * 400_000, b"0\r\nX-Trailer: " + b"x" * 400_000):
        with server.connect() as connection:
            connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
            time.sleep(0.05)  # else it all comes with the headers, which are forgiven one reading
            connection.sendall(sent)
            answer = read_answer(connection)
        assert (answer.status, answer.code) == (431, "headers_too_large")


def test_trailers_are_no_headers(server: Gated) -> None:
    with server.connect() as connection:
        connection.sendall(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nOrigin: http://evil.example\r\n\r\n"
        )
        assert read_answer(connection).status == 200


def test_a_client_that_goes_away_in_the_middle_of_a_body_leaves_nothing_behind(server: Gated, tmp_path: Path) -> None:
    before = server.seen.bodies
    for _ in range(5):
        with server.connect() as connection:
            connection.sendall(HEAD + b"Content-Length: 1000000\r\n\r\n" + bytes(900_000))
    wait_until(lambda: server.client.post("/test/echo", content=bytes(1_000_000)).status_code == 200)
    assert server.seen.bodies == before + 1
