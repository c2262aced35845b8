from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clipwright.server.gate.connection import Connection
from clipwright.server.http_server import HttpServer
from clipwright.server.settings import Limits
from tests.server.gate.gated import Gated, gated, is_closed, read_answer, wait_until

ALIVE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def everything(connection: socket.socket) -> bytes:
    """What the server sends until it closes the connection."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            received += part
    return received


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gated]:
    with gated(tmp_path_factory.mktemp("gated"), Limits(header_seconds=0.5, connections=20)) as running:
        yield running


def test_headers_that_do_not_come_to_an_end_are_given_up(server: Gated) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        answer = read_answer(connection)
        assert (answer.status, answer.code) == (408, "request_too_slow")
        assert is_closed(connection)


def test_slow_headers_of_a_second_request_are_given_up_too(server: Gated) -> None:
    with server.connect() as connection:
        connection.sendall(ALIVE)
        assert read_answer(connection).status == 200
        connection.sendall(b"GET /hea")
        assert read_answer(connection).status == 408


def test_empty_lines_do_not_keep_a_connection_open(server: Gated) -> None:
    with server.connect() as connection:
        connection.sendall(ALIVE)
        assert read_answer(connection).status == 200
        connection.sendall(b"\r\n")
        assert read_answer(connection).status == 408


def test_a_connection_on_which_nothing_comes_is_closed(server: Gated) -> None:
    with server.connect() as connection:
        assert is_closed(connection)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: " + b"x" * 40_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: 0123456789\r\n" * 4_000 + b"\r\n",
    ],
    ids=["address", "one header", "many headers"],
)
def test_long_headers_are_refused(server: Gated, head: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(head)
        answer = read_answer(connection)
        assert (answer.status, answer.code) == (431, "headers_too_large")
        assert is_closed(connection)


def test_a_header_without_end_is_refused_while_it_comes(server: Gated) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: ")
        with contextlib.suppress(OSError):  # the server may have closed already
            for _ in range(100):
                connection.sendall(b"x" * 10_000)
        assert read_answer(connection).status == 431


@pytest.mark.parametrize(
    "sent",
    [
        b"not HTTP at all\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /bär HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
    ],
)
def test_what_is_no_http_gets_a_json_answer(server: Gated, sent: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(sent)
        answer = read_answer(connection)
        assert (answer.status, answer.code) == (400, "invalid_request")
        assert answer.headers["content-type"] == "application/json"
        assert is_closed(connection)


def test_requests_sent_ahead_are_answered_in_order(server: Gated) -> None:
    with server.connect() as connection:
        connection.sendall(
            b"".join(ALIVE.replace(b"/healthz", b"/test/raise/" + what) for what in (b"query", b"later"))
        )
        received = b""
        while received.count(b"}}") < 2:
            received += connection.recv(65536)
    assert received.index(b"invalid_query") < received.index(b"worker_restarting")


def test_of_a_flood_of_requests_sent_ahead_few_are_kept_and_none_after_them(server: Gated) -> None:
    with server.connect() as connection:
        slow = ALIVE.replace(b"/healthz", b"/test/wait?seconds=0.3")
        connection.sendall(slow + ALIVE * 1_000)
        received = everything(connection)
    assert received.count(b"HTTP/1.1 200 OK") == 1 + 16
    assert server.client.get("/healthz").status_code == 200


def test_a_request_that_is_refused_does_not_overtake_the_answer_before_it(server: Gated) -> None:
    with server.connect() as connection:
        slow = ALIVE.replace(b"/healthz", b"/test/wait?seconds=0.3")
        broken = ALIVE[:-2].replace(b"GET", b"POST") + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"
        connection.sendall(slow + broken)
        assert read_answer(connection).status == 200


def test_headers_of_many_requests_are_not_added_up(server: Gated) -> None:
    request = ALIVE[:-2] + b"Cookie: " + b"x" * 10_000 + b"\r\n\r\n"
    with server.connect() as connection:
        for _ in range(10):
            connection.sendall(request)
            assert read_answer(connection).status == 200


def test_a_body_that_nobody_waits_for_any_more_ends_the_connection(server: Gated) -> None:
    """The answer to a preflight comes before the body, which no limit is on."""
    with server.connect() as connection:
        lines = b"Access-Control-Request-Method: POST\r\nContent-Length: 1000000000\r\n\r\n"
        connection.sendall(ALIVE[:-2].replace(b"GET", b"OPTIONS") + lines)
        assert read_answer(connection, "OPTIONS").status == 204
        connection.sendall(b"x")
        assert is_closed(connection)


def test_an_answer_that_nobody_takes_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clipwright.server.gate.connection._FLUSH_SECONDS", 0.2)
    with gated(tmp_path) as server, server.connect() as connection:
        connection.sendall(ALIVE[:-2].replace(b"/healthz", b"/test/large") + b"Connection: close\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        wait_until(lambda: not server.serving.server.server_state.connections)


def test_the_first_connections_too_many_are_told_so_and_more_are_cut(tmp_path: Path) -> None:
    with gated(tmp_path, Limits(connections=2)) as server, contextlib.ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in range(2 + 64 + 5)]
        wait_until(lambda: len(server.serving.server.server_state.connections) <= 2 + 64)
        answers = [everything(connection) for connection in connections[2:]]
    assert sum(answer.startswith(b"HTTP/1.1 429") for answer in answers) == 64
    assert answers.count(b"") == 5


def test_a_request_on_its_way_when_the_server_stops_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clipwright.server.gate.connection._IDLE_SECONDS", 5.0)
    with gated(tmp_path) as server, server.connect() as connection:
        connection.sendall(ALIVE)
        assert "connection" not in read_answer(connection).headers
        server.serving.server.should_exit = True
        wait_until(server.serving.app.state.services.draining.is_set)
        connection.sendall(ALIVE)
        answer = read_answer(connection)
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert is_closed(connection)


def test_uvicorn_calls_everything_that_is_overridden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What begins with no underscore overrides something of uvicorn's; another version may never call it."""
    called = set()

    def watch(owner: type, name: str) -> None:
        method = getattr(owner, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            called.add((owner, name))
            return method(*arguments, **options)

        monkeypatch.setattr(owner, name, watched)

    overrides = [
        (owner, name)
        for owner in (Connection, HttpServer)
        for name in vars(owner)
        if not name.startswith("_") and name != "run_until_stopped"
    ]
    for override in overrides:
        watch(*override)
    stopped = list[int]()
    before = signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    try:
        with gated(tmp_path) as server, server.connect() as connection, server.connect() as other:
            assert server.client.post("/test/echo", content=b"abc").status_code == 200
            other.sendall(b"no HTTP\r\n\r\n")
            assert read_answer(other).status == 400
            connection.sendall(ALIVE)
            assert read_answer(connection).status == 200
            with server.serving.server.capture_signals():
                signal.raise_signal(signal.SIGTERM)
            assert is_closed(connection)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert set(overrides) - called == set()
    assert stopped == []  # uvicorn would raise it once more


def test_connections_are_bounded_and_those_beyond_are_told_so(tmp_path: Path) -> None:
    with gated(tmp_path, Limits(connections=5)) as server, contextlib.ExitStack() as stack:
        held = [stack.enter_context(server.connect()) for _ in range(5)]
        for connection in held:
            connection.sendall(ALIVE)
            assert read_answer(connection).status == 200
        with server.connect() as connection:
            connection.sendall(ALIVE)
            answer = read_answer(connection)
            assert (answer.status, answer.code, answer.headers["retry-after"]) == (429, "overloaded", "1")
            assert is_closed(connection)
        for connection in held:
            connection.close()

        def is_free() -> bool:
            with server.connect() as connection:
                connection.sendall(ALIVE)
                return read_answer(connection).status == 200

        wait_until(is_free)


def test_the_server_does_not_say_what_it_runs_on(server: Gated) -> None:
    answer = server.client.get("/healthz")
    assert "server" not in answer.headers
    assert "x-powered-by" not in answer.headers
