from __future__ import annotations

import base64
import errno
import signal
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest

from clipwright.errors import ClipwrightError
from clipwright.server.http_server import bind
from clipwright.server.settings import Limits, ServerSettings
from tests.server.gate.gated import RawAnswer, gated, is_closed, read_answer, wait_until
from tests.server.serving import ServingProcess, serving, serving_process


def settings_of(folder: Path, model: Path) -> ServerSettings:
    return ServerSettings(models=(str(model),), database=folder / "photos.db")


def test_a_server_embeds_and_stops(tmp_path: Path, tiny_model: Path) -> None:
    with serving(settings_of(tmp_path, tiny_model)) as running:
        assert running.client.get("/readyz").json() == {"status": "ready"}


def test_a_server_whose_model_is_not_there_says_so_at_once(tmp_path: Path) -> None:
    with (
        pytest.raises(ClipwrightError, match="no model"),
        serving(settings_of(tmp_path, tmp_path / "lost.safetensors")),
    ):
        pass


def test_a_port_that_is_taken_is_named() -> None:
    (listener,) = bind("127.0.0.1", 0)
    with listener:
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port} of 127.0.0.1 is taken") as raised:
            bind("127.0.0.1", port)
        assert raised.value.errno == errno.EADDRINUSE


def test_a_host_that_is_none_is_named() -> None:
    with pytest.raises(OSError, match=r"'nowhere\.invalid'"):
        bind("nowhere.invalid", 0)


def test_what_was_begun_before_the_end_is_answered_and_nothing_new_is(tmp_path: Path) -> None:
    with gated(tmp_path) as server, server.connect() as waiting, server.connect() as halfway, server.connect() as idle:
        waiting.sendall(b"GET /test/wait?seconds=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        halfway.sendall(b"GET /readyz HTTP/1.1\r\nHost: local")
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_answer(idle).status == 200
        wait_until(lambda: server.seen.begun == 1)
        server.serving.server.should_exit = True
        wait_until(server.serving.app.state.services.draining.is_set)
        halfway.sendall(b"host\r\n\r\n")
        answer = read_answer(halfway)
        assert (answer.status, answer.code, answer.headers["connection"]) == (503, "shutting_down", "close")
        answer = read_answer(waiting)
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert is_closed(idle)
        with pytest.raises(httpx.ConnectError):
            server.client.get("/healthz")
    assert server.serving.server.unanswered == 0


def test_what_takes_longer_than_the_end_may_is_told_so(tmp_path: Path) -> None:
    with gated(tmp_path, Limits(drain_seconds=1)) as server, server.connect() as waiting:
        waiting.sendall(b"GET /test/wait?seconds=600 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: server.seen.begun == 1)
        server.serving.server.should_exit = True
        answer = read_answer(waiting)
        assert (answer.status, answer.code) == (503, "shutting_down")
    assert server.serving.server.unanswered == 1


class HalfRequest:
    """A request for an embedding whose first half is with the server."""

    def __init__(self, running: ServingProcess) -> None:
        body = b'{"input": "a cat"}'
        self._connection = socket.create_connection(("127.0.0.1", httpx.URL(running.address).port or 0), timeout=60)
        head = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        self._connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body[:5])
        self._rest = body[5:]
        time.sleep(0.5)  # so that the server has it

    def finish(self) -> RawAnswer:
        with self._connection:
            self._connection.sendall(self._rest)
            return read_answer(self._connection)

    def is_cut(self) -> bool:
        with self._connection:
            return is_closed(self._connection)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_asked_to_stop_answers_what_it_accepted(
    tmp_path: Path, tiny_model: Path, how: signal.Signals
) -> None:
    with serving_process("--model", tiny_model, "--index", tmp_path / "photos.db") as running:
        begun = HalfRequest(running)
        running.process.send_signal(how)
        time.sleep(1)
        assert running.process.poll() is None
        assert begun.finish().status == 200
        assert running.process.wait(60) == 0
    assert running.lines[-1] == "stopped: all that was accepted is answered"


@pytest.mark.slow
def test_a_second_ctrl_c_ends_it_at_once(tmp_path: Path, tiny_model: Path) -> None:
    with serving_process("--model", tiny_model, "--index", tmp_path / "photos.db") as running:
        begun = HalfRequest(running)
        running.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert running.stop(signal.SIGINT) == 130
        assert begun.is_cut()
    assert running.lines[-1] == "interrupted: stopped at once"


@pytest.mark.slow
def test_nothing_accepted_is_lost_when_busy_clients_see_it_stop(tmp_path: Path, tiny_model: Path, photo: Path) -> None:
    picture = "data:image/jpeg;base64," + base64.b64encode(photo.read_bytes()).decode()
    statuses, problems = list[int](), list[Exception]()
    with serving_process("--model", tiny_model, "--index", tmp_path / "photos.db") as running:

        def ask() -> None:
            with running.client() as client:
                while True:
                    try:
                        statuses.append(client.post("/v1/embeddings", json={"input": [picture, "a cat"]}).status_code)
                    except httpx.ConnectError:
                        return  # it takes no new connections
                    except Exception as problem:
                        problems.append(problem)
                        return

        clients = [threading.Thread(target=ask) for _ in range(16)]
        for client in clients:
            client.start()
        wait_until(lambda: len(statuses) > 100)
        assert running.stop(signal.SIGTERM) == 0
        for client in clients:
            client.join()
    assert problems == []
    assert set(statuses) == {200}
