from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.gate.gated import Gated, gated, read_answer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gated]:
    with gated(tmp_path_factory.mktemp("gated"), allowed_hosts=("Photos.example",)) as running:
        yield running


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:7860",
        "localhost.",
        "127.0.0.1",
        "127.0.0.1:1",
        "[::1]",
        "[0:0:0:0:0:0:0:1]:80",
        "photos.example",
        "PHOTOS.example:443",
    ],
)
def test_its_own_names_are_answered(server: Gated, host: str) -> None:
    assert server.client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:7860",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "[::2]",
        "127.0.0.2",
        "0.0.0.0",
        "2130706433",
        "photos.example.evil",
        "xphotos.example",
    ],
)
def test_other_names_are_refused_whatever_address_they_lead_to(server: Gated, host: str) -> None:
    answer = server.client.get("/healthz", headers={"Host": host})
    assert (answer.status_code, answer.json()["error"]["code"]) == (421, "wrong_host")
    assert "--allow-host" in answer.json()["error"]["message"]


@pytest.mark.parametrize("host", ["", "user@localhost", "localhost:port", "local host", "[::1", "localhost/x"])
def test_what_is_no_host_is_refused(server: Gated, host: str) -> None:
    answer = server.client.get("/healthz", headers={"Host": host})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "wrong_host")


@pytest.mark.parametrize("hosts", [b"", b"Host: localhost\r\nHost: evil.example\r\n"])
def test_one_host_is_named(server: Gated, hosts: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n" + hosts + b"\r\n")
        answer = read_answer(connection)
    assert (answer.status, answer.code) == (400, "wrong_host")


def test_the_page_and_the_documentation_are_refused_too(server: Gated) -> None:
    for path in ("/", "/docs", "/page/app.js", "/openapi.json", "/metrics", "/nowhere"):
        assert server.client.get(path, headers={"Host": "evil.example"}).status_code == 421
