from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from clipwright.server import uvicorn_range
from tests.server.serving import serving_process
from tests.support import run_cli


def test_help_lists_options_by_what_they_are_about() -> None:
    text = run_cli("serve", "--help").stdout
    for title in ("What is served:", "Who may use it:", "How models run:", "How much is accepted:", "Other options:"):
        assert title in text
    assert text.index("--root") < text.index("--insecure") < text.index("--backend") < text.index("--max-body")
    assert "clipwright serve --root ~/Pictures" in text
    assert text.count("--quiet") == 1


def test_an_untried_version_of_uvicorn_is_refused_before_anything_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn_range, "version", lambda _: "0.34.0")
    answer = run_cli("serve", "--port", "0")
    assert (answer.status, answer.stdout) == (2, "")
    assert answer.stderr.startswith("error: uvicorn 0.34.0 is installed, ")


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_listening_to_other_machines_without_a_key_is_refused(host: str, tmp_path: Path) -> None:
    answer = run_cli("serve", "--host", host, "--port", "0", "--keys-file", tmp_path / "keys.jsonl")
    assert (answer.status, answer.stdout) == (2, "")
    assert answer.stderr.count("\n") == 1
    assert answer.stderr.startswith(f"error: --host {host} lets other machines see your photographs")
    assert "--new-key" in answer.stderr
    assert "--insecure" in answer.stderr


def test_a_port_that_is_taken_is_the_machines_fault(tmp_path: Path, tiny_model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        answer = run_cli("serve", "--port", port, "--model", tiny_model, "--index", tmp_path / "photos.db")
    assert answer.status == 3
    assert answer.stderr == f"error: port {port} of 127.0.0.1 is taken by another program; --port N takes another one\n"


def test_a_new_key_is_printed_once(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "keys.jsonl"
    answer = run_cli("serve", "--keys-file", file, "--new-key", "laptop")
    assert answer.status == 0
    key = answer.stdout.strip()
    assert key.startswith("cw-")
    assert key not in file.read_text() + answer.stderr
    assert "'laptop'" in answer.stderr
    assert [run_cli("serve", "--keys-file", file, "--new-key").status for _ in range(2)] == [0, 0]
    assert [line.split('"')[3] for line in file.read_text().splitlines()] == ["laptop", "key-1", "key-2"]
    again = run_cli("serve", "--keys-file", file, "--new-key", "laptop")
    assert (again.status, again.stdout) == (2, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--root", "/nowhere/at/all"], "does not exist"),
        (["--allow-origin", "example.org"], "https://example.org is"),
        (["--allow-origin", "*"], "https://example.org is"),
        (["--allow-origin", "http://["], "https://example.org is"),
        (["--allow-host", "https://example.org"], "without http://"),
        (["--memory-budget", "much"], "4GB"),
        (["--max-body", "0"], "less than 1"),
        (["--deadline", "0"], "--deadline"),
        (["--port", "70000"], "--port"),
        (["--model", "/nowhere/model.safetensors"], "no model"),
    ],
)
def test_a_wrong_option_is_said_in_a_line(arguments: list[str], said: str, tmp_path: Path) -> None:
    answer = run_cli("serve", "--index", tmp_path / "photos.db", "--port", "0", "--quiet", *arguments)
    assert answer.status == 2
    assert said in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_without_its_extra_it_says_how_to_install_it() -> None:
    code = (
        "import sys; sys.modules['fastapi'] = None; from clipwright.cli import main; sys.argv = ['c', 'serve']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: clipwright serve needs the 'serve' extra: pip install 'clipwright[serve]'\n"


def test_the_process_of_the_server_loads_no_runtime() -> None:
    code = (
        "import sys, clipwright.server.app, clipwright.server.http_server\n"
        "sys.exit(', '.join({'torch', 'onnxruntime', 'openvino', 'onnx'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")


@pytest.mark.slow
def test_one_line_says_when_it_is_ready(tmp_path: Path, photo: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "rocket.jpg").write_bytes(photo.read_bytes())
    run_cli("index", folder, "--index", tmp_path / "photos.db")
    with serving_process("--index", tmp_path / "photos.db") as running:
        assert running.lines[0].startswith("note: the starter answers")
        assert running.lines[1] == f"ready: {running.address}  (model starter, 1 photograph)"


@pytest.mark.slow
def test_with_a_key_other_machines_may_be_listened_to(tmp_path: Path, tiny_model: Path) -> None:
    file = tmp_path / "keys.jsonl"
    key = run_cli("serve", "--keys-file", file, "--new-key").stdout.strip()
    where = ("--index", tmp_path / "photos.db", "--keys-file", file, "--host", "0.0.0.0")
    with serving_process("--model", tiny_model, *where) as running, running.client() as client:
        client.base_url = client.base_url.copy_with(host="127.0.0.1")
        assert client.get("/readyz").status_code == 401
        assert client.get("/readyz", headers={"Authorization": f"Bearer {key}"}).status_code == 200
