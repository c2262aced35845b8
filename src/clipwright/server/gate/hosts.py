"""By which names a server lets itself be called.

A page of another site can make its own name point to 127.0.0.1 (DNS rebinding). To the browser the server is then part
of that site; the Host header still holds the site's name.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from clipwright.server.rejection import RejectionError

_ALWAYS = ("localhost", "127.0.0.1", "::1")
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:/@\[\]]+)(?::\d{1,5})?")


class HostCheck:
    """ASGI middleware: refuses requests to other names than localhost, the address they came to, and these."""

    def __init__(self, app: ASGIApp, names: Iterable[str]) -> None:
        self._app, self._names = app, frozenset(map(_normal, (*_ALWAYS, *names)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self._check(scope)
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        given = Headers(scope=scope).getlist("host")
        found = _HOST.fullmatch(given[0]) if len(given) == 1 else None
        if found is None:
            raise RejectionError(400, "wrong_host", "a request names the server in one Host header", param="Host")
        name = _normal(found[1])
        if name in self._names or name == _normal((scope.get("server") or ("", 0))[0] or ""):
            return
        raise RejectionError(
            421,
            "wrong_host",
            f"this server is not called {name!r}; start it with --allow-host {name} if it should be",
            param="Host",
        )


@functools.lru_cache(maxsize=64)
def _normal(host: str) -> str:
    """One spelling of a host's name or address."""
    host = host.strip("[]").partition("%")[0].lower()
    try:
        return ipaddress.ip_address(host).compressed
    except ValueError:
        return host.removesuffix(".")
