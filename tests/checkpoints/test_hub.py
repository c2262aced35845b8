"""Models come from a hub, here one on 127.0.0.1, through its cache, and what is there needs no network."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support import REFERENCE

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """One repository, acme/clip, as the hub serves it; requests are what came in."""

    files: dict[str, bytes]
    requests: list[str] = field(default_factory=list)
    address: str = ""


def handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            hub.requests.append(f"{self.command} {self.path}")
            path = self.path.partition("?")[0]
            if path.startswith("/api/models/acme/clip"):
                question, _, revision = path.removeprefix("/api/models/acme/clip/").partition("/")
                if revision not in ("", "main", "v1", COMMIT):
                    return self.fail("RevisionNotFound")
                if question == "tree":
                    listing = [
                        {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                        for name, data in hub.files.items()
                    ]
                    return self.send(json.dumps(listing).encode(), "application/json", body)
                siblings = [{"rfilename": name} for name in hub.files]
                info = {"id": "acme/clip", "modelId": "acme/clip", "sha": COMMIT, "siblings": siblings, "tags": []}
                return self.send(json.dumps(info).encode(), "application/json", body)
            name = path.rpartition("/")[2]
            if path.startswith("/acme/clip/resolve/") and name in hub.files:
                return self.send(hub.files[name], "application/octet-stream", body)
            return self.fail("EntryNotFound" if path.startswith("/acme/clip/") else "RepoNotFound")

        def send(self, data: bytes, kind: str, body: bool) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if body:
                self.wfile.write(data)

        def fail(self, code: str) -> None:
            self.send_response(404)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

    return Handler


@pytest.fixture
def hub() -> Iterator[Hub]:
    folder = REFERENCE / "hf-clip"
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "features.npz"}
    hub = Hub(files | {"pytorch_model.bin": b"a second copy of the weights", "README.md": b"# CLIP"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(hub))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield hub
    server.shutdown()
    server.server_close()


NO_SOCKETS = """
import socket
def refuse(*arguments, **named): raise AssertionError("a socket was opened")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
"""


def load(name: str, cache: Path, hub: Hub | None, offline: bool = False, before: str = "") -> tuple[int, str]:
    """Loads the model in a process of its own and gives its exit status, and its space_id or its complaint."""
    code = f"""
{before}
import sys
from clipwright.checkpoints.load import load_checkpoint
from clipwright.errors import ClipwrightError
try:
    print(load_checkpoint({name!r}).space_id())
except ClipwrightError as error:
    print(error)
    sys.exit(2)
"""
    environment = os.environ | {
        "HF_HOME": str(cache),
        "HF_ENDPOINT": "http://127.0.0.1:9" if hub is None else hub.address,
        "HF_HUB_OFFLINE": "1" if offline else "0",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode in (0, 2), done.stderr
    return done.returncode, done.stdout.strip()


def local_space_id() -> str:
    from clipwright.checkpoints.folder import read_checkpoint

    return read_checkpoint(REFERENCE / "hf-clip").space_id()


def test_a_repository_is_downloaded_once_and_then_needs_no_network(tmp_path: Path, hub: Hub) -> None:
    assert load("acme/clip", tmp_path, hub) == (0, local_space_id())
    fetched = {request.rpartition("/")[2] for request in hub.requests if request.startswith("GET /acme/clip/resolve/")}
    assert fetched == {"config.json", "preprocessor_config.json", "model.safetensors"}  # not the second copy
    hub.requests.clear()
    assert load("acme/clip", tmp_path, hub, before=NO_SOCKETS) == (0, local_space_id())
    assert load("acme/clip", tmp_path, hub, offline=True) == (0, local_space_id())
    assert not hub.requests


def test_a_revision_can_be_pinned(tmp_path: Path, hub: Hub) -> None:
    assert load("acme/clip@v1", tmp_path, hub) == (0, local_space_id())
    assert any("/revision/v1" in request for request in hub.requests)
    status, message = load("acme/clip@v9", tmp_path, hub)
    assert (status, message) == (2, "'acme/clip' has no revision 'v9'")


def test_a_name_that_does_not_exist_is_refused(tmp_path: Path, hub: Hub) -> None:
    status, message = load("acme/clop", tmp_path, hub)
    assert status == 2
    assert "no repository 'acme/clop'" in message


@pytest.mark.parametrize("offline", [True, False])
def test_without_a_network_it_is_said_what_to_do(tmp_path: Path, offline: bool) -> None:
    status, message = load("acme/clip", tmp_path, None, offline)
    assert status == 2
    assert "HF_HUB_OFFLINE" in message if offline else "give a folder instead" in message


def test_a_folder_loads_with_no_socket_at_all(tmp_path: Path) -> None:
    assert load(str(REFERENCE / "hf-clip"), tmp_path, None, before=NO_SOCKETS) == (0, local_space_id())


def test_a_repository_without_a_known_layout_says_what_was_looked_for(tmp_path: Path, hub: Hub) -> None:
    hub.files = {"README.md": b"# nothing"}
    status, message = load("acme/clip", tmp_path, hub)
    assert status == 2
    assert "looked for open_clip_config.json and config.json" in message
