"""The HTTP server around an application: bound first, then ready, then drained."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from types import FrameType

import uvicorn
from fastapi import FastAPI

from clipwright.server.gate.connection import connections
from clipwright.server.settings import ServerSettings

_BACKLOG = 2048
_FILES = 1024
"""For the index, photographs, pipes to models, and connections that are being refused."""


def bind(host: str, port: int) -> list[socket.socket]:
    """Sockets bound to all addresses of a host, on one port; any free one where port is 0. They do not listen yet.

    Raises OSError, its strerror a sentence, where that cannot be.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise OSError(error.errno, f"no address of this machine is called {host!r}; --host names one") from error
    bound: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            listener = socket.socket(family, kind, protocol)
            bound.append(listener)
            if os.name != "nt":  # there it would let two programs have one port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((address[0], port or address[1], *address[2:]))
            port = port or listener.getsockname()[1]
    except OSError as error:
        for listener in bound:
            listener.close()
        if error.errno == errno.EADDRINUSE:
            raise OSError(
                error.errno, f"port {port} of {host} is taken by another program; --port N takes another one"
            ) from error
        raise OSError(error.errno, f"{host} port {port} cannot be listened on: {error.strerror}") from error
    return bound


def allow_open_files(count: int) -> None:
    """Lets this process hold so many connections besides its files, as far as the system permits."""
    if os.name == "nt":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + _FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def address_of(host: str, sockets: Sequence[socket.socket]) -> str:
    """The address to call a server by that is bound to these sockets."""
    port = sockets[0].getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class HttpServer(uvicorn.Server):
    """uvicorn's server, which ends well when it is asked to."""

    def __init__(
        self,
        app: FastAPI,
        settings: ServerSettings,
        on_ready: Callable[[], Awaitable[None]],
        on_impatience: Callable[[], None] = lambda: None,
    ) -> None:
        """on_ready is called when it answers, on_impatience when Ctrl-C comes while it is being stopped."""
        limits, services = settings.limits, app.state.services
        self._app, self._on_ready, self._on_impatience = app, on_ready, on_impatience
        self._draining = services.draining
        self.unanswered = 0
        """Requests that it had to give up when it was stopped."""
        super().__init__(
            uvicorn.Config(
                app,
                http=connections(limits, services.metrics),
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",  # what goes wrong is said by gate/error_answers.py
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=_BACKLOG,
                timeout_graceful_shutdown=max(1, round(limits.drain_seconds)),
            )
        )

    def run_until_stopped(self, sockets: list[socket.socket]) -> None:
        """Starts the application's services, answers until it is asked to stop, and ends the services.

        Raises ClipwrightError where a service cannot be started.
        """
        with asyncio.Runner(loop_factory=self.config.get_loop_factory()) as runner:
            runner.run(self._run(sockets))

    async def _run(self, sockets: list[socket.socket]) -> None:
        if self._app.middleware_stack is None:  # else the first request would wait for it
            self._app.middleware_stack = self._app.build_middleware_stack()
        async with self._app.router.lifespan_context(self._app):
            await self.serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        await self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._draining.set()
        await super().shutdown(sockets)
        self.unanswered = len(self.server_state.tasks)  # they were cancelled just now

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """uvicorn's would raise the signal once more when all is answered."""
        if self.should_exit and sig == signal.SIGINT:
            self._on_impatience()
            self.force_exit = True
        self.should_exit = True
