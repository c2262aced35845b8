"""Real servers on this machine, for tests: in a thread of this process, or in a process of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
from fastapi import FastAPI

from clipwright.server.app import create_app
from clipwright.server.http_server import HttpServer, address_of, bind
from clipwright.server.settings import ServerSettings
from tests.support import COMMAND

_PATIENCE = 120.0
"""Seconds after which a server that has not done what it should is given up."""


@dataclass(frozen=True)
class Serving:
    """A server in this process."""

    address: str
    """http://127.0.0.1:PORT"""
    client: httpx.Client
    """Calls it; paths are enough."""
    app: FastAPI
    server: HttpServer

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])


@contextlib.contextmanager
def serving(settings: ServerSettings, app: FastAPI | None = None) -> Iterator[Serving]:
    """A server in a thread, on a free port of 127.0.0.1, ready; stopped and its services closed at the end.

    app: another one than these settings' own. Raises what its start raised.
    """
    settings = replace(settings, host="127.0.0.1", port=0)
    app = app or create_app(settings)
    ready, problems = threading.Event(), list[BaseException]()
    sockets = bind(settings.host, settings.port)
    address = address_of(settings.host, sockets)

    async def tell() -> None:
        ready.set()

    server = HttpServer(app, settings, tell)

    def run() -> None:
        try:
            server.run_until_stopped(sockets)
        except BaseException as problem:
            problems.append(problem)
        finally:
            ready.set()
            for listener in sockets:
                listener.close()

    thread = threading.Thread(target=run, name="server")
    thread.start()
    try:
        assert ready.wait(_PATIENCE), "the server was not ready in time"
        if problems:
            raise problems[0]
        with httpx.Client(base_url=address, timeout=_PATIENCE, trust_env=False) as client:
            yield Serving(address, client, app, server)
    finally:
        server.should_exit = True
        thread.join(_PATIENCE)
    assert not thread.is_alive(), "the server did not stop in time"
    if problems:
        raise problems[0]


@dataclass
class ServingProcess:
    """`clipwright serve` in a process of its own."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    """Its stderr until now."""
    address: str = ""
    _ready: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if line.startswith("ready: "):
                self.address = line.split()[1]
                self._ready.set()
        self._ready.set()

    def wait_until_ready(self) -> None:
        assert self._ready.wait(_PATIENCE), "the server was not ready in time"
        assert self.address, "\n".join(self.lines)

    def client(self) -> httpx.Client:
        """To be closed by the caller."""
        return httpx.Client(base_url=self.address, timeout=_PATIENCE, trust_env=False)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Its exit status after this signal."""
        self.process.send_signal(how)
        return self.process.wait(_PATIENCE)


@contextlib.contextmanager
def serving_process(
    *options: str | Path, environment: Mapping[str, str] | None = None, wait: bool = True
) -> Iterator[ServingProcess]:
    """`clipwright serve --port 0` with these options, ready unless wait is False; ended with the block."""
    process = subprocess.Popen(
        [COMMAND, "serve", "--port", "0", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    running = ServingProcess(process)
    reader = threading.Thread(target=running.read, name="stderr")
    reader.start()
    try:
        if wait:
            running.wait_until_ready()
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        reader.join(_PATIENCE)
        assert process.stderr is not None
        process.stderr.close()
