from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.gate.gated import Gated, gated


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gated]:
    with gated(tmp_path_factory.mktemp("gated")) as running:
        yield running


@pytest.mark.parametrize("path", ["/healthz", "/", "/openapi.json", "/nowhere"])
def test_head_is_answered_as_get_without_the_body(server: Gated, path: str) -> None:
    whole, head = server.client.get(path), server.client.head(path)
    assert head.status_code == whole.status_code
    assert head.headers["content-type"] == whole.headers["content-type"]
    assert head.headers["content-length"] == whole.headers["content-length"]
    assert head.content == b""


def test_head_is_no_way_around_the_gate(server: Gated) -> None:
    assert server.client.head("/healthz", headers={"Host": "evil.example"}).status_code == 421
    assert server.client.head("/test/echo").status_code == 405  # takes POST alone
