from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from clipwright.errors import ClipwrightError
from clipwright.server.gate import access
from clipwright.server.gate.keys import KeyRing, make_key, read_keys
from clipwright.server.gate.sessions import Sessions
from tests.server.gate.gated import Gated, gated, wait_until

OPEN = ["/", "/healthz", "/v1/session", "/page/nowhere.js"]
CLOSED = ["/metrics", "/docs", "/openapi.json", "/readyz", "/test/wait?seconds=0", "/v1/models", "/nowhere"]
CLOSED += ["//healthz", "/healthz/", "/page", "/page/../v1/models", "/V1/session", "/v1/session/x"]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong key is answered sooner."""
    monkeypatch.setattr(access, "_WRONG_KEY_SECONDS", 0.02)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.jsonl"


@pytest.fixture
def key(file: Path) -> str:
    return make_key(file, "laptop")


@pytest.fixture
def server(tmp_path: Path, file: Path, key: str) -> Iterator[Gated]:
    with gated(tmp_path, keys_file=file) as running:
        yield running


def bearing(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_what_needs_no_key_needs_none(server: Gated) -> None:
    for path in OPEN:
        assert server.client.get(path).status_code in (200, 404), path


def test_all_else_needs_one(server: Gated, key: str) -> None:
    for path in CLOSED:
        answer = server.client.get(httpx.URL(server.serving.address).copy_with(raw_path=path.encode()))
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "missing_key"), path
        assert answer.headers["www-authenticate"] == "Bearer"
    assert server.client.get("/metrics", headers=bearing(key)).status_code == 200


@pytest.mark.parametrize(
    "given", ["Bearer cw-wrong", "Bearer", "Basic {key}", "{key}", "Bearer {key}x", "Bearer {key} {key}"]
)
def test_a_wrong_key_is_refused(server: Gated, key: str, given: str) -> None:
    answer = server.client.get("/metrics", headers={"Authorization": given.format(key=key)})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "wrong_key")
    assert key not in answer.text


def test_a_body_is_not_read_of_those_who_may_not_come_in(server: Gated) -> None:
    assert server.client.post("/test/echo", content=bytes(1_000_000)).status_code == 401
    assert server.seen.bodies == 0


def test_a_key_that_is_revoked_or_made_counts_from_the_next_request_on(server: Gated, file: Path, key: str) -> None:
    second = make_key(file, "phone")
    assert server.client.get("/metrics", headers=bearing(second)).status_code == 200
    session = server.client.post("/v1/session", json={"key": key})
    assert session.status_code == 200
    assert server.client.get("/metrics").status_code == 200
    file.write_text("".join(line for line in file.read_text().splitlines(True) if "laptop" not in line))
    wait_until(lambda: server.client.get("/metrics", headers=bearing(key)).status_code == 401)
    assert server.client.get("/metrics").status_code == 401  # its session ended with it
    assert server.client.get("/metrics", headers=bearing(second)).status_code == 200


def test_a_file_of_keys_that_is_lost_or_damaged_lets_nobody_in(server: Gated, file: Path, key: str) -> None:
    kept = file.read_bytes()
    file.unlink()
    assert server.client.get("/metrics", headers=bearing(key)).status_code == 401
    assert server.client.get("/metrics").status_code == 401
    file.write_text("{}")
    assert server.client.get("/metrics", headers=bearing(key)).status_code == 401
    file.write_bytes(kept)
    assert server.client.get("/metrics", headers=bearing(key)).status_code == 200


def test_a_first_key_closes_a_server_that_was_open(tmp_path: Path, file: Path) -> None:
    with gated(tmp_path, keys_file=file) as server:
        assert server.client.get("/v1/session").json() == {"required": False, "valid": True}
        assert server.client.get("/metrics").status_code == 200
        make_key(file, "first")
        assert server.client.get("/metrics").status_code == 401


def test_a_session_stands_for_its_key(server: Gated, key: str) -> None:
    client = server.client
    assert client.get("/v1/session").json() == {"required": True, "valid": False}
    begun = client.post("/v1/session", json={"key": key})
    assert begun.json() == {"required": True, "valid": True}
    cookie = begun.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert key not in cookie
    assert client.get("/v1/session").json() == {"required": True, "valid": True}
    assert client.get("/metrics").status_code == 200
    stolen = dict(client.cookies)
    assert client.delete("/v1/session").status_code == 204
    assert client.get("/metrics").status_code == 401
    client.cookies.update(stolen)
    assert client.get("/metrics").status_code == 401


def test_a_cookie_that_came_encrypted_is_never_sent_otherwise(server: Gated, key: str) -> None:
    begun = server.client.post("/v1/session", json={"key": key}, headers={"X-Forwarded-Proto": "https"})
    assert "Secure" in begun.headers["set-cookie"].split("; ")


@pytest.mark.parametrize("body", [{"key": "cw-wrong"}, {"key": "\ud800"}])
def test_no_session_begins_with_a_wrong_key(server: Gated, body: dict[str, str]) -> None:
    answer = server.client.post("/v1/session", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code in (401, 422)
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("body", [{}, {"key": 5}, {"key": "x" * 1000}, {"key": "x", "more": 1}, [], None])
def test_a_session_is_asked_for_as_described(server: Gated, body: object) -> None:
    answer = server.client.post("/v1/session", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_request")


def test_who_has_no_key_sends_no_more_than_one(server: Gated) -> None:
    for content in (b'{"key": [' + b"{}," * 2000 + b"{}]}", iter([b" " * 5000])):  # announced, and not
        answer = server.client.post("/v1/session", content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


def test_a_key_is_kept_as_a_hash_that_only_its_owner_reads(file: Path, key: str) -> None:
    assert key not in file.read_text()
    assert len(key) > 40
    assert [found.name for found in read_keys(file)] == ["laptop"]
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_file_of_keys_may_begin_with_a_mark(file: Path, key: str) -> None:
    """As an editor on Windows leaves it."""
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert [found.name for found in read_keys(file)] == ["laptop"]
    file.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ClipwrightError, match="line 1 is not UTF-16-LE"):
        read_keys(file)


def test_names_of_keys_are_unique_and_plain(file: Path, key: str) -> None:
    for name, message in (("laptop", "already"), ("", "no name"), ("a\nb", "no name"), ("x" * 65, "no name")):
        with pytest.raises(ClipwrightError, match=message):
            make_key(file, name)
    assert len(read_keys(file)) == 1


@pytest.mark.parametrize(
    "line", ["nonsense", "{}", "[]", '{"name": "a", "sha256": "00", "created": ""}', "[" * 10_000, "5", "null"]
)
def test_a_damaged_file_of_keys_is_refused_at_the_start(file: Path, key: str, line: str) -> None:
    with file.open("a") as opened:
        opened.write(line + "\n")
    with pytest.raises(ClipwrightError, match="line 2 of"):
        KeyRing(file)


def test_sessions_end_by_themselves_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions()
    first = sessions.begin("a key's hash")
    assert sessions.key_hash(first) == "a key's hash"
    for _ in range(1_000):
        latest = sessions.begin("another")
    assert sessions.key_hash(first) is None
    assert sessions.key_hash(latest) == "another"
    monkeypatch.setattr("time.monotonic", lambda: 1e12)
    assert sessions.key_hash(latest) is None
