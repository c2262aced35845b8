"""Models come from a hub, here one on 127.0.0.1, through its cache, and what is there needs no network."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants, hf_hub_download
from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars

from clipwright.checkpoints import hub as hub_models
from clipwright.checkpoints.folder import read_checkpoint
from clipwright.checkpoints.layouts import LayoutName
from clipwright.checkpoints.load import load_checkpoint, load_model
from clipwright.checkpoints.ready_graphs import read_ready_graphs
from clipwright.embedding.load import embedder_from
from clipwright.errors import ClipwrightError
from tests.graph_folders import graph_checkpoint, graph_folder
from tests.support import DATA, REFERENCE, run_cli

NOBODY = "http://127.0.0.1:9"


@dataclass
class Hub:
    """One repository, acme/clip, as the hub serves it; requests are what came in."""

    files: dict[str, bytes]
    requests: list[str] = field(default_factory=list)
    damaged: dict[str, list[bytes]] = field(default_factory=dict)
    """What the next downloads of a file bring instead of it."""
    commit: str = "0123456789abcdef0123456789abcdef01234567"
    address: str = ""

    def downloads(self) -> list[str]:
        """The files that were downloaded, in order."""
        start = "GET /acme/clip/resolve/"
        return [request.split("/", 5)[5] for request in self.requests if request.startswith(start)]


def published(name: str, data: bytes) -> dict[str, object]:
    """What the hub says of a file: of a large one, which git does not keep itself, its SHA-256 too."""
    entry: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": hashlib.sha1(data).hexdigest()}
    if name.endswith((".safetensors", ".bin", ".onnx", ".onnx_data")):
        entry["lfs"] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "pointerSize": 134}
    return entry


def handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            hub.requests.append(f"{self.command} {self.path}")
            path = self.path.partition("?")[0]
            if path.startswith("/api/models/acme/clip"):
                revision = path.removeprefix("/api/models/acme/clip").removeprefix("/revision/")
                if revision not in ("", "main", "v1", hub.commit):
                    return self.fail("RevisionNotFound")
                siblings = [published(name, data) for name, data in hub.files.items()]
                info = {"id": "acme/clip", "modelId": "acme/clip", "sha": hub.commit, "siblings": siblings, "tags": []}
                return self.send(json.dumps(info).encode(), "application/json", body)
            name = path.removeprefix("/acme/clip/resolve/").partition("/")[2]
            if path.startswith("/acme/clip/resolve/") and name in hub.files:
                data = hub.files[name]
                etag = hashlib.sha256(data).hexdigest()
                if body and hub.damaged.get(name):
                    data = hub.damaged[name].pop(0)
                return self.send(data, "application/octet-stream", body, etag)
            return self.fail("EntryNotFound" if path.startswith("/acme/clip/") else "RepoNotFound")

        def send(self, data: bytes, kind: str, body: bool, etag: str = "") -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("ETag", f'"{etag}"')
            self.send_header("X-Repo-Commit", hub.commit)
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
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield hub
    server.shutdown()
    server.server_close()


@contextlib.contextmanager
def asking(hub: Hub | None, cache: Path, offline: bool = False, sockets: bool = True) -> Iterator[None]:
    """In here, huggingface_hub is as HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE make it when it is imported.

    hub: None stands for a network that is not there. sockets: False refuses to open any.
    """
    address = NOBODY if hub is None else hub.address
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_CACHE", str(cache / "hub"))
        patch.setattr(constants, "ENDPOINT", address)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
        patch.setattr(constants, "HF_HUB_OFFLINE", offline)
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        if not sockets:
            patch.setattr(socket.socket, "connect", refuse)
            patch.setattr(socket, "create_connection", refuse)
            patch.setattr(socket, "getaddrinfo", refuse)
        disable_progress_bars()
        try:
            yield
        finally:
            enable_progress_bars()


def refuse(*arguments: object, **named: object) -> None:
    raise AssertionError("a socket was opened")


def attempt(
    what: Callable[[], object], cache: Path, hub: Hub | None, offline: bool = False, sockets: bool = True
) -> tuple[int, str]:
    """0 and what this gives, or 2 and what it complains of."""
    with asking(hub, cache, offline, sockets):
        try:
            return 0, str(what())
        except ClipwrightError as error:
            return 2, str(error)


def load(name: str, cache: Path, hub: Hub | None, offline: bool = False, sockets: bool = True) -> tuple[int, str]:
    """Loads the model and gives 0 and its space_id, or 2 and the complaint."""
    return attempt(lambda: load_checkpoint(name).space_id(), cache, hub, offline, sockets)


def pull(name: str, cache: Path, hub: Hub) -> tuple[int, str]:
    return attempt(lambda: hub_models.pull(name), cache, hub)


def fetch_as_others_do(names: Iterable[str], cache: Path, hub: Hub) -> None:
    """Puts files into the cache as any program does."""
    with asking(hub, cache):
        for name in names:
            hf_hub_download("acme/clip", name)


NO_SOCKETS = """
import socket
def refuse(*arguments, **named): raise AssertionError("a socket was opened")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
"""


def load_in_a_process(name: str, cache: Path, hub: Hub | None, offline: bool = False, before: str = "") -> str:
    """Loads the model in a process of its own, from its imports on, and gives its space_id."""
    environment = os.environ | {
        "HF_HOME": str(cache),
        "HF_ENDPOINT": NOBODY if hub is None else hub.address,
        "HF_HUB_OFFLINE": "1" if offline else "0",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "1",
    }
    code = f"""
{before}
from clipwright.checkpoints.load import load_checkpoint
print(load_checkpoint({name!r}).space_id())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@functools.cache
def local_space_id() -> str:
    return read_checkpoint(REFERENCE / "hf-clip").space_id()


def test_a_repository_is_downloaded_once_and_then_needs_no_network(tmp_path: Path, hub: Hub) -> None:
    assert load_in_a_process("acme/clip", tmp_path, hub) == local_space_id()
    assert set(hub.downloads()) == {"config.json", "preprocessor_config.json", "model.safetensors"}  # no second copy
    hub.requests.clear()
    assert load_in_a_process("acme/clip", tmp_path, hub, before=NO_SOCKETS) == local_space_id()
    assert load_in_a_process("acme/clip", tmp_path, hub, offline=True) == local_space_id()
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


def damaged_bytes(data: bytes) -> bytes:
    """As long as the data, and wrong in one place."""
    return data[:-1] + bytes([data[-1] ^ 1])


def kept(cache: Path, name: str, data: bytes) -> list[str]:
    """What the cache keeps of a file: its link, the bytes behind it, or a part of them."""
    of_it = (name, hashlib.sha256(data).hexdigest())
    return [path.name for path in cache.rglob("*") if path.name.startswith(of_it) and path.suffix != ".lock"]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "other bytes": damaged_bytes,
    "too short": lambda data: data[:-7],
    "too long": lambda data: data + b"surplus",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_download_is_repeated(tmp_path: Path, hub: Hub, damage: str) -> None:
    hub.damaged = {"model.safetensors": [DAMAGES[damage](hub.files["model.safetensors"])]}
    assert load("acme/clip", tmp_path, hub) == (0, local_space_id())
    assert hub.downloads().count("model.safetensors") == 2


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_download_that_is_damaged_twice_is_not_kept(tmp_path: Path, hub: Hub, damage: str) -> None:
    whole = hub.files["model.safetensors"]
    wrong = DAMAGES[damage](whole)
    hub.damaged = {"model.safetensors": [wrong, wrong]}
    status, message = load("acme/clip", tmp_path, hub)
    found = {
        "other bytes": f"its SHA-256 is {hashlib.sha256(wrong).hexdigest()} instead of "
        f"{hashlib.sha256(whole).hexdigest()}"
    }.get(damage, f"it has {len(wrong)} bytes instead of {len(whole)}")
    assert (status, message) == (
        2,
        f"'acme/clip': model.safetensors came damaged twice: {found}; it was deleted, so try again later",
    )
    assert kept(tmp_path, "model.safetensors", whole) == []
    assert hub.downloads().count("model.safetensors") == 2
    assert load("acme/clip", tmp_path, hub) == (0, local_space_id())


def test_a_small_file_that_is_cut_is_fetched_again(tmp_path: Path, hub: Hub) -> None:
    hub.damaged = {"config.json": [b'{"model_type": "cl']}
    assert load("acme/clip", tmp_path, hub) == (0, local_space_id())
    assert hub.downloads().count("config.json") == 2


def weights_in(cache: Path) -> Path:
    (path,) = cache.rglob("snapshots/*/model.safetensors")
    return path.resolve()


def test_what_is_cached_whole_is_not_downloaded_or_read_again(tmp_path: Path, hub: Hub) -> None:
    load("acme/clip", tmp_path, hub)
    weights = weights_in(tmp_path)
    weights.write_bytes(damaged_bytes(weights.read_bytes()))  # of the right size: only reading all of it would tell
    hub.requests.clear()
    pull("acme/clip", tmp_path, hub)
    assert hub.downloads() == []


def test_a_cached_file_of_another_size_is_replaced(tmp_path: Path, hub: Hub) -> None:
    load("acme/clip", tmp_path, hub)
    weights = weights_in(tmp_path)
    weights.write_bytes(weights.read_bytes()[:100])
    hub.requests.clear()
    pull("acme/clip", tmp_path, hub)
    assert hub.downloads() == ["model.safetensors"]
    assert load("acme/clip", tmp_path, None, sockets=False) == (0, local_space_id())


def test_an_update_that_fails_leaves_what_was_there(tmp_path: Path, hub: Hub) -> None:
    load("acme/clip", tmp_path, hub)
    hub.commit = "f" * 40
    hub.files["config.json"] += b"\n"
    hub.files["model.safetensors"] += b"\0"
    hub.damaged = {"model.safetensors": [b"no", b"no"]}
    status, message = pull("acme/clip", tmp_path, hub)
    assert (status, "came damaged twice" in message) == (2, True)
    assert load("acme/clip", tmp_path, None, sockets=False) == (0, local_space_id())


def test_what_another_program_left_out_is_fetched(tmp_path: Path, hub: Hub) -> None:
    hub.files["tokenizer.json"] = b"{}"
    fetch_as_others_do(("config.json", "pytorch_model.bin", "model.safetensors"), tmp_path, hub)
    hub.requests.clear()
    load("acme/clip", tmp_path, hub)
    assert set(hub.downloads()) == {"preprocessor_config.json", "tokenizer.json"}


@pytest.mark.parametrize("tokenizer", ["tokenizer.json", "spiece.model"])
def test_one_tokenizer_is_fetched(tmp_path: Path, hub: Hub, tokenizer: str) -> None:
    pieces = (DATA / "spiece" / "spiece.model").read_bytes()
    hub.files |= {"spiece.model": pieces, tokenizer: b"{}" if tokenizer == "tokenizer.json" else pieces}
    assert load("acme/clip", tmp_path, hub)[0] == 0
    assert {"tokenizer.json", "spiece.model"} & set(hub.downloads()) == {tokenizer}
    assert load("acme/clip", tmp_path, None, sockets=False)[0] == 0


@pytest.mark.parametrize("others", [{}, {"tokenizer.json": b"{}"}], ids=["alone", "beside tokenizer.json"])
def test_a_vocabulary_in_two_files_is_fetched_where_it_is_read(
    tmp_path: Path, hub: Hub, others: dict[str, bytes]
) -> None:
    both = {name: (DATA / "clip_vocabulary" / name).read_bytes() for name in ("vocab.json", "merges.txt")}
    hub.files |= {**both, "special_tokens_map.json": b"{}", **others}
    assert load("acme/clip", tmp_path, hub)[0] == 0
    fetched = {"vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer.json"} & set(hub.downloads())
    assert fetched == (set(others) or {*both, "special_tokens_map.json"})
    assert load("acme/clip", tmp_path, None, sockets=False)[0] == 0


def test_what_another_program_fetched_is_used_without_a_network(tmp_path: Path, hub: Hub) -> None:
    fetch_as_others_do(("config.json", "preprocessor_config.json", "model.safetensors"), tmp_path, hub)
    assert load("acme/clip", tmp_path, hub, offline=True) == (0, local_space_id())


@pytest.mark.parametrize("offline", [True, False])
def test_without_a_network_it_is_said_what_to_do(tmp_path: Path, offline: bool) -> None:
    status, message = load("acme/clip", tmp_path, None, offline)
    assert status == 2
    assert "HF_HUB_OFFLINE" in message if offline else "give a folder instead" in message


def test_a_disk_that_fails_is_no_missing_network(tmp_path: Path, hub: Hub) -> None:
    (tmp_path / "file").touch()
    with asking(hub, tmp_path / "file"):
        answer = run_cli("models", "pull", "acme/clip")
    assert (answer.status, answer.stderr.startswith("error: Not a directory")) == (3, True)


def test_a_folder_loads_with_no_socket_at_all(tmp_path: Path) -> None:
    folder = str(REFERENCE / "hf-clip")
    assert load_in_a_process(folder, tmp_path, None, before=NO_SOCKETS) == local_space_id()


def files_under(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def load_graphs(cache: Path, hub: Hub | None, offline: bool = False, sockets: bool = True) -> tuple[int, str]:
    return attempt(lambda: load_model("acme/clip").space_id(), cache, hub, offline, sockets)


TRANSFORMERS_JS = {
    "config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "onnx/vision_model.onnx",
    "onnx/vision_model.onnx_data",
    "onnx/text_model.onnx",
    "onnx/text_model.onnx_data",
}
IMMICH = {
    "config.json",
    "visual/preprocess_cfg.json",
    "visual/model.onnx",
    "textual/tokenizer.json",
    "textual/tokenizer_config.json",
    "textual/model.onnx",
}
OTHERS = ("onnx/model.onnx", "onnx/vision_model_quantized.onnx", "onnx/text_model_fp16.onnx", "textual/vocab.json")


@pytest.mark.parametrize(("layout", "needed"), [("transformers.js", TRANSFORMERS_JS), ("immich", IMMICH)])
def test_of_graphs_only_what_is_needed_is_downloaded_once(
    tmp_path: Path, hub: Hub, layout: LayoutName, needed: set[str]
) -> None:
    options = {"external": True} if layout == "transformers.js" else {}
    folder = graph_folder(tmp_path / "folder", layout, **options)
    hub.files = files_under(folder) | dict.fromkeys(OTHERS, b"another variant")
    known = (0, read_ready_graphs(folder).space_id())
    assert load_graphs(tmp_path, hub) == known
    assert sorted(hub.downloads()) == sorted(needed)
    hub.requests.clear()
    assert load_graphs(tmp_path, hub, sockets=False) == known
    assert load_graphs(tmp_path, None, offline=True) == known
    assert not hub.requests


def test_graphs_of_the_hub_are_pulled_and_run(tmp_path: Path, hub: Hub, photo: Path) -> None:
    hub.files = files_under(graph_folder(tmp_path / "folder", external=True))
    with asking(hub, tmp_path):
        answer = run_cli("models", "pull", "acme/clip")
        assert (answer.status, answer.stderr) == (0, "")
        assert answer.stdout.startswith("acme/clip: 32 px, 16 numbers a photograph, in ")
        hub.requests.clear()
        answer = run_cli("similarity", photo, "--text", "a cat", "--model", "acme/clip", "--json")
        assert (answer.status, hub.requests) == (0, [])
    made = embedder_from(graph_checkpoint(), "made")
    cosine = made.embed_images([photo])[0] @ made.embed_texts(["a cat"])[0]
    assert json.loads(answer.stdout)["similarities"][0]["similarity"] == pytest.approx(float(cosine), abs=1e-5)


def test_weights_are_fetched_rather_than_graphs(tmp_path: Path, hub: Hub) -> None:
    hub.files |= files_under(graph_folder(tmp_path / "folder"))
    hub.files |= {name: (REFERENCE / "hf-clip" / name).read_bytes() for name in ("config.json",)}
    pull("acme/clip", tmp_path, hub)
    assert "model.safetensors" in hub.downloads()
    assert not any(name.endswith(".onnx") for name in hub.downloads())


def test_graphs_that_another_program_fetched_do_not_hide_weights(tmp_path: Path, hub: Hub) -> None:
    hub.files = {**files_under(graph_folder(tmp_path / "folder")), **hub.files}
    names = ["config.json", "preprocessor_config.json", "onnx/vision_model.onnx", "onnx/text_model.onnx"]
    fetch_as_others_do(names, tmp_path, hub)
    status, graphs = load_graphs(tmp_path, hub, offline=True)
    assert (status, graphs != local_space_id()) == (0, True)
    load_graphs(tmp_path, hub)
    assert "model.safetensors" in hub.downloads()


def test_a_graph_without_its_tensors_is_completed(tmp_path: Path, hub: Hub) -> None:
    folder = graph_folder(tmp_path / "folder", external=True)
    hub.files = files_under(folder)
    load_graphs(tmp_path, hub)
    (link,) = tmp_path.rglob("snapshots/*/onnx/text_model.onnx_data")
    link.unlink()
    hub.requests.clear()
    assert load_graphs(tmp_path, hub) == (0, read_ready_graphs(folder).space_id())
    del hub.files["onnx/text_model.onnx_data"]
    status, message = pull("acme/clip@v1", tmp_path / "fresh", hub)
    assert (status, message) == (
        2,
        "'acme/clip' lacks onnx/text_model.onnx_data, which onnx/text_model.onnx names",
    )


def test_a_damaged_graph_is_fetched_again(tmp_path: Path, hub: Hub) -> None:
    folder = graph_folder(tmp_path / "folder")
    hub.files = files_under(folder)
    hub.damaged = {"onnx/vision_model.onnx": [damaged_bytes(hub.files["onnx/vision_model.onnx"])]}
    assert load_graphs(tmp_path, hub) == (0, read_ready_graphs(folder).space_id())
    assert hub.downloads().count("onnx/vision_model.onnx") == 2


def test_a_repository_without_a_known_layout_says_what_was_looked_for(tmp_path: Path, hub: Hub) -> None:
    hub.files = {"README.md": b"# nothing"}
    status, message = load("acme/clip", tmp_path, hub)
    assert status == 2
    assert "open_clip_config.json (OpenCLIP), config.json (Hugging Face)" in message
    assert message.endswith("found 1 file (README.md)")
