"""Servers that a benchmark starts, each in processes of its own, and stops again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

CLIPWRIGHT = (sys.executable, "-c", "from clipwright.cli import main; main()")
"""The command."""
_START_SECONDS = 300
_STOP_SECONDS = 60


@dataclass(frozen=True)
class RunningServer:
    """A server that answers."""

    name: str
    port: int
    path: str
    """Where it takes POST /v1/embeddings."""
    model: str
    """As requests name it."""
    process: subprocess.Popen[bytes]

    def processes(self) -> list[psutil.Process]:
        """The server's and its workers'."""
        top = psutil.Process(self.process.pid)
        return [top, *top.children(recursive=True)]

    def processor_seconds(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self.processes())

    def resident_bytes(self) -> int:
        total = 0
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


@contextlib.contextmanager
def clipwright_server(
    model: str, port: int, options: Sequence[str] = (), *, name: str = "clipwright", database: Path | None = None
) -> Iterator[RunningServer]:
    """`clipwright serve`, ready. database: of its index; None: it has no index."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*CLIPWRIGHT, "serve", "--model", model, "--port", str(port)]
        command += ["--index", str(database or Path(folder) / "none.db"), *options]
        with _running(name, command, port, "/readyz", "/v1/embeddings", model) as server:
            models = json.loads(server.get("/v1/models")[1])["data"]
            yield replace(server, model=models[0]["id"])


@contextlib.contextmanager
def infinity_server(program: Path, model: Path, port: int) -> Iterator[RunningServer]:
    """infinity with the torch engine on the processor, as its documents start it, ready. program: its command."""
    command = [str(program), "v2", "--model-id", str(model), "--engine", "torch", "--device", "cpu"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--no-bettertransformer"]
    command += ["--served-model-name", "served"]
    with _running("infinity", command, port, "/health", "/embeddings", "served") as server:
        yield server


@contextlib.contextmanager
def _running(
    name: str, command: Sequence[str], port: int, ready: str, path: str, model: str
) -> Iterator[RunningServer]:
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0", "DO_NOT_TRACK": "1"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        server = RunningServer(name, port, path, model, process)
        try:
            _wait(server, ready, log.fileno())
            yield server
        finally:
            _stop(process)


def _wait(server: RunningServer, ready: str, log: int) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        if server.process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            if server.get(ready)[0] == 200:
                return
        time.sleep(0.1)
    said = os.pread(log, 4000, max(0, os.fstat(log).st_size - 4000)).decode(errors="replace")
    raise SystemExit(f"{server.name} did not start:\n{said}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.wait()
            raise SystemExit("the server did not end after SIGTERM") from None
