from __future__ import annotations

import errno
import signal
from pathlib import Path

import pytest

from clipwright.errors import UnknownModelError
from clipwright.server.http_server import bind
from clipwright.server.settings import ServerSettings
from tests.server.serving import serving, serving_process


def settings_of(folder: Path, model: Path) -> ServerSettings:
    return ServerSettings(models=(str(model),), database=folder / "photos.db")


def test_a_server_answers_and_stops(tmp_path: Path, tiny_model: Path) -> None:
    with serving(settings_of(tmp_path, tiny_model)) as running:
        assert running.client.get("/openapi.json").status_code == 200


def test_a_server_whose_model_is_not_there_says_so_at_once(tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError), serving(settings_of(tmp_path, tmp_path / "nowhere.safetensors")):
        pass


def test_a_port_that_is_taken_is_named() -> None:
    (listener,) = bind("127.0.0.1", 0)
    with listener:
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port} of 127.0.0.1 is taken") as raised:
            bind("127.0.0.1", port)
        assert raised.value.errno == errno.EADDRINUSE


@pytest.mark.slow
def test_a_process_says_when_it_is_ready_and_ends_well_when_it_is_asked_to(tmp_path: Path, tiny_model: Path) -> None:
    with serving_process("--model", tiny_model, "--index", tmp_path / "photos.db") as running:
        with running.client() as client:
            assert client.get("/openapi.json").status_code == 200
        assert running.stop(signal.SIGTERM) == 0
