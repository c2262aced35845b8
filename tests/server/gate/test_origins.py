from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.gate.gated import Gated, gated

FRIEND = "https://friend.example"
SIMPLE = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
"""What a page of any site may post without asking first."""


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gated]:
    with gated(tmp_path_factory.mktemp("gated")) as running:
        yield running


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gated]:
    with gated(tmp_path_factory.mktemp("gated"), allowed_origins=(FRIEND,)) as running:
        yield running


@pytest.mark.parametrize("kind", [*SIMPLE, "application/json"])
@pytest.mark.parametrize("origin", ["http://evil.example", "https://localhost.evil.example", "null", "file://"])
def test_pages_of_other_sites_cannot_post(closed: Gated, kind: str, origin: str) -> None:
    before = closed.seen.bodies
    answer = closed.client.post("/test/echo", content=b"x", headers={"Content-Type": kind, "Origin": origin})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_origin")
    assert closed.seen.bodies == before


def test_pages_on_another_port_of_this_machine_cannot_post(closed: Gated) -> None:
    headers = {"Origin": f"http://127.0.0.1:{closed.serving.port + 1}"}
    assert closed.client.post("/test/echo", headers=headers).status_code == 403
    assert closed.client.request("DELETE", "/v1/session", headers=headers).status_code == 403


def test_a_browser_that_names_no_origin_but_another_site_cannot_post(closed: Gated) -> None:
    assert closed.client.post("/test/echo", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert closed.client.post("/test/echo", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_the_own_page_and_programs_can_post(closed: Gated) -> None:
    assert closed.client.post("/test/echo", headers={"Origin": closed.serving.address}).status_code == 200
    assert closed.client.post("/test/echo").status_code == 200


def test_a_page_behind_a_proxy_that_encrypts_can_post(opened: Gated) -> None:
    headers = {"Host": "localhost", "Origin": "https://localhost"}
    assert opened.client.post("/test/echo", headers=headers).status_code == 200


def test_reading_is_not_refused_but_kept_from_other_sites_scripts(closed: Gated) -> None:
    answer = closed.client.get("/healthz", headers={"Origin": "http://evil.example"})
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def preflight(server: Gated, origin: str) -> dict[str, str]:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x"}
    answer = server.client.options("/v1/embeddings", headers=headers)
    allowed = {name: value for name, value in answer.headers.items() if name.startswith("access-control")}
    assert (answer.status_code == 204) == bool(allowed)
    return allowed


def test_nobody_is_let_in_beforehand_unless_it_is_said(closed: Gated, opened: Gated) -> None:
    assert preflight(closed, FRIEND) == {}
    assert preflight(opened, "http://evil.example") == {}
    assert preflight(opened, "https://friend.example.evil") == {}
    assert preflight(opened, "http://friend.example") == {}
    allowed = preflight(opened, FRIEND)
    assert allowed["access-control-allow-origin"] == FRIEND
    assert allowed["access-control-allow-headers"] == "authorization, content-type"
    assert "access-control-allow-credentials" not in allowed


def test_a_friend_may_read_answers_and_errors(opened: Gated) -> None:
    for path, status in (("/healthz", 200), ("/test/raise/query", 422), ("/nowhere", 404)):
        answer = opened.client.get(path, headers={"Origin": FRIEND})
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == FRIEND
        assert "Origin" in answer.headers["vary"]
    assert "access-control-allow-origin" not in opened.client.get("/healthz").headers
    assert opened.client.post("/test/echo", headers={"Origin": FRIEND}).status_code == 200
