from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.server.gate.gated import Gated, gated


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gated]:
    with gated(tmp_path_factory.mktemp("gated")) as running:
        yield running


def test_the_documentation_needs_no_other_host(server: Gated) -> None:
    html = server.client.get("/docs").text
    named = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert "/docs/swagger-ui-bundle.js" in named
    for address in named:
        assert address.startswith(("/", "data:,"))
        if address.startswith("/"):
            assert server.client.get(address).status_code == 200


def test_files_are_sent_once(server: Gated) -> None:
    first = server.client.get("/docs/swagger-ui.css")
    assert first.headers["content-type"] == "text/css; charset=utf-8"
    assert first.headers["cache-control"] == "no-cache"
    again = server.client.get("/docs/swagger-ui.css", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = server.client.get("/docs/swagger-ui.css", headers={"If-None-Match": '"other"'})
    assert other.status_code == 200
    assert server.client.get("/docs/documentation.js").headers["content-type"].startswith("text/javascript")


def test_no_other_file_is_served(server: Gated) -> None:
    for name in ("redoc.standalone.js", "../app.py", "..%2f..%2fapp.py", "documentation.html", ""):
        assert server.client.get(f"/docs/{name}").status_code == 404
