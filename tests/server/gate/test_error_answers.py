from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.server.gate.gated import RAISED, SECRET_PATH, Gated, gated


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gated]:
    with gated(tmp_path_factory.mktemp("gated")) as running:
        yield running


def error(answer: httpx.Response) -> dict[str, object]:
    """The error of an answer, whose shape is checked."""
    assert answer.headers["content-type"] == "application/json"
    record: dict[str, object] = answer.json()["error"]
    assert {"code", "message", "type", "param", "index"} <= record.keys()
    return record


@pytest.mark.parametrize("what", RAISED)
def test_no_answer_holds_a_path_or_a_traceback(server: Gated, what: str) -> None:
    answer = server.client.get(f"/test/raise/{what}")
    error(answer)
    assert len(answer.content) < 2_000
    for told in (SECRET_PATH, "ada", "Traceback", "AssertionError", ".py"):
        assert told not in answer.text


@pytest.mark.parametrize(
    ("what", "status", "code"),
    [
        ("bug", 500, "internal_error"),
        ("disk", 500, "internal_error"),
        ("checkpoint", 503, "model_unavailable"),
        ("index", 503, "no_index"),
        ("model", 404, "unknown_model"),
        ("query", 422, "invalid_query"),
        ("letters", 422, "invalid_request"),
    ],
)
def test_each_kind_of_error_has_its_status_and_code(server: Gated, what: str, status: int, code: str) -> None:
    answer = server.client.get(f"/test/raise/{what}")
    assert (answer.status_code, error(answer)["code"]) == (status, code)


def test_bugs_are_logged_with_their_traceback(server: Gated, caplog: pytest.LogCaptureFixture) -> None:
    server.client.get("/test/raise/bug")
    assert any(record.exc_info and "broken at" in str(record.exc_info[1]) for record in caplog.records)


def test_the_offending_items_are_named(server: Gated) -> None:
    record = error(server.client.get("/test/raise/items"))
    assert (record["code"], record["index"]) == ("truncated", 2)
    assert [item["index"] for item in record["items"]] == [2, 5]  # type: ignore[attr-defined]


def test_when_to_ask_again_is_said_in_whole_seconds(server: Gated) -> None:
    assert server.client.get("/test/raise/later").headers["retry-after"] == "2"


@pytest.mark.parametrize(
    ("body", "status", "sentence", "param", "index"),
    [
        ('{"numbers": [1, 2, "three"]}', 422, "numbers[2]: input should be a valid integer", "numbers", 2),
        ('{"numbers": 5}', 422, "numbers: input should be a valid list", "numbers", None),
        ("{}", 422, "numbers: field required", "numbers", None),
        ('{"numbers": ["a", "b", "c"]}', 422, "; and 2 more", "numbers", 0),
        ('{"numbers": [', 400, "the body is not JSON", None, None),
        ("", 422, "the request: field required", None, None),
        ("[" * 100_000, 400, "the body is not JSON", None, None),
        ('{"numbers": [1e999]}', 422, "numbers[0]", "numbers", 0),
        ('"\\ud800"', 422, "the request", None, None),
        ("\x00", 400, "the body is not JSON", None, None),
    ],
)
def test_a_body_that_does_not_fit_is_told_where(
    server: Gated, body: str, status: int, sentence: str, param: str | None, index: int | None
) -> None:
    answer = server.client.post("/test/numbers", content=body, headers={"Content-Type": "application/json"})
    record = error(answer)
    assert (answer.status_code, record["code"]) == (status, "invalid_request")
    assert sentence in str(record["message"])
    assert (record["param"], record["index"]) == (param, index)


def test_bytes_that_are_no_text_are_no_json(server: Gated) -> None:
    for content in (b'{"numbers": "\xff\xfe"}', b"\xff\xfe{\x00}\x00", b"\x1f\x8b\x08\x00"):
        answer = server.client.post("/test/numbers", content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422)
        error(answer)


def test_addresses_and_methods_that_there_are_not(server: Gated) -> None:
    for path in ("/nowhere", "/v1/nowhere", "/docs/nowhere", "/page/..%2f..%2fapp.py", "/test/wait/", "/%00", "/%ff"):
        answer = server.client.get(path)
        assert (answer.status_code, error(answer)["code"]) == (404, "not_found"), path
    answer = server.client.put("/healthz")
    assert (answer.status_code, error(answer)["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET"


def test_a_query_that_does_not_fit_is_told_where(server: Gated) -> None:
    record = error(server.client.get("/test/wait", params={"seconds": "long"}))
    assert record["param"] == "seconds"
    assert str(record["message"]).startswith("seconds: ")


def test_head_has_no_body(server: Gated) -> None:
    answer = server.client.head("/nowhere")
    assert (answer.status_code, answer.content) == (404, b"")


def test_an_answer_that_breaks_off_does_not_look_whole(server: Gated) -> None:
    assert len(server.client.get("/test/stream?parts=5").content) == 500_000
    with pytest.raises(httpx.RemoteProtocolError):
        server.client.get("/test/stream?parts=5&breaks=true")


def test_each_refusal_is_counted_by_its_code(server: Gated) -> None:
    def count() -> float:
        lines = server.client.get("/metrics").text.splitlines()
        name = 'clipwright_rejected_requests_total{code="worker_restarting"} '
        return next((float(line.removeprefix(name)) for line in lines if line.startswith(name)), 0.0)

    before = count()
    server.client.get("/test/raise/later")
    assert count() == before + 1


def test_every_route_describes_its_errors(server: Gated) -> None:
    description = server.client.get("/openapi.json").json()
    json.dumps(description)
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            assert {"400", "401", "413", "421", "422", "429", "503"} <= operation["responses"].keys(), (path, method)
