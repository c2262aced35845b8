from __future__ import annotations

from collections.abc import Iterator

import pytest

from clipwright.server.settings import Limits
from tests.server.gate.gated import Gated, gated

PATHS = ["/healthz", "/", "/docs", "/docs/documentation.js", "/nowhere", "/test/raise/bug", "/openapi.json", "/metrics"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gated]:
    with gated(tmp_path_factory.mktemp("gated"), Limits(body_bytes=100)) as running:
        yield running


@pytest.mark.parametrize("path", PATHS)
def test_browsers_are_told_to_be_careful(server: Gated, path: str) -> None:
    headers = server.client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["x-frame-options"] == "DENY"
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy.get("script-src", "'self'") == "'self'"
    assert "http" not in headers["content-security-policy"]


def test_refusals_have_the_same_headers(server: Gated) -> None:
    for answer in (
        server.client.get("/", headers={"Host": "evil.example"}),
        server.client.post("/test/echo", headers={"Origin": "http://evil.example"}),
        server.client.post("/test/echo", content=bytes(101)),
    ):
        assert answer.status_code in (403, 413, 421)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def test_the_pages_policy_allows_nothing_inline(server: Gated) -> None:
    assert "unsafe" not in server.client.get("/").headers["content-security-policy"]


def test_answers_of_the_api_are_not_kept(server: Gated) -> None:
    for path in ("/healthz", "/nowhere", "/openapi.json", "/v1/session"):
        assert server.client.get(path).headers["cache-control"] == "no-store"
