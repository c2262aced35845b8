from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipwright.server.settings import Limits
from tests.server.gate.gated import Gated, gated, is_closed, read_answer, wait_until

ALIVE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


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


def test_a_flood_of_requests_on_one_connection_hurts_only_that(server: Gated) -> None:
    with server.connect() as connection:
        connection.sendall(ALIVE * 10_000)
        assert read_answer(connection).status == 200
    assert server.client.get("/healthz").status_code == 200


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
