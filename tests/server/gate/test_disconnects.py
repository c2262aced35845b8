from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from clipwright.server.settings import Limits
from tests.server.gate.gated import Gated, gated, read_answer, wait_until

WAIT = b"GET /test/wait?seconds=60 HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gated]:
    with gated(tmp_path_factory.mktemp("gated"), Limits(deadline_seconds=0.5)) as running:
        yield running


@pytest.fixture
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gated]:
    with gated(tmp_path_factory.mktemp("gated"), Limits(deadline_seconds=600)) as running:
        yield running


def test_a_client_that_goes_away_cancels_what_it_asked_for(patient: Gated) -> None:
    for number in range(1, 4):
        with patient.connect() as connection:
            connection.sendall(WAIT)
            wait_until(lambda: patient.seen.begun == number)  # noqa: B023
        wait_until(lambda: patient.seen.cancelled == number)  # noqa: B023
    lines = patient.client.get("/metrics").text.splitlines()
    assert 'clipwright_requests_total{method="GET",route="/test/wait",status="499"} 3.0' in lines


def test_a_client_that_goes_away_cancels_what_it_sent_ahead(patient: Gated) -> None:
    with patient.connect() as connection:
        connection.sendall(WAIT + WAIT)
        wait_until(lambda: patient.seen.begun == 1)
    wait_until(lambda: patient.seen.cancelled == 1)
    time.sleep(0.1)
    assert patient.seen.begun == 1


def test_a_client_that_stays_gets_its_answer_and_may_ask_again(patient: Gated) -> None:
    for _ in range(3):
        assert patient.client.get("/test/wait", params={"seconds": 0.05}).json() == {"waited": True}
    assert (patient.seen.ended, patient.seen.cancelled) == (3, 0)


def test_a_request_is_given_up_at_its_deadline(server: Gated) -> None:
    answer = server.client.get("/test/wait", params={"seconds": 60})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "deadline_exceeded")
    assert answer.headers["retry-after"] == "1"
    assert server.seen.cancelled == 1


def test_a_slow_body_does_not_use_up_the_deadline(server: Gated) -> None:
    with server.connect() as connection:
        connection.sendall(b"POST /test/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n")
        for letter in b"abc":
            time.sleep(0.6)
            connection.sendall(bytes([letter]))
        assert read_answer(connection).status == 200
