"""Whose pages may ask for something to be done.

Browsers let any site's page send requests to a server on localhost, and only hide the answers from it. They do say in
Origin whose page it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from clipwright.server.rejection import RejectionError

_HARMLESS = ("GET", "HEAD", "OPTIONS")
_OWN_PAGES = ("same-origin", "none")
"""What browsers say in Sec-Fetch-Site of a page of this server, and of what a person opened."""
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, DELETE",
    "Access-Control-Allow-Headers": "authorization, content-type",
    "Access-Control-Allow-Private-Network": "true",
    "Access-Control-Max-Age": "600",
}
_PORTS = {"http": ":80", "https": ":443"}


class OriginCheck:
    """ASGI middleware: refuses what pages of other sites want done, but of these origins ('https://example.org')."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app, self._origins = app, frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        is_preflight = scope["method"] == "OPTIONS" and "access-control-request-method" in headers
        if is_preflight or scope["method"] not in _HARMLESS:
            self._check(headers)
        if is_preflight:
            return await Response(status_code=204, headers=_PREFLIGHT)(scope, receive, send)
        return await self._app(scope, receive, send)

    def _check(self, headers: Headers) -> None:
        origins = headers.getlist("origin")
        host = headers.get("host", "")
        if all(origin in self._origins or _is_own(origin, host) for origin in origins) and (
            origins or headers.get("sec-fetch-site", "none") in _OWN_PAGES
        ):
            return
        raise RejectionError(
            403,
            "wrong_origin",
            "pages of other sites may not use this server; start it with --allow-origin to let one",
            param="Origin",
        )


def _is_own(origin: str, host: str) -> bool:
    """Whether an origin is this server as the request calls it, by whatever scheme: it may stand behind a proxy."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    if parts.scheme not in _PORTS or parts.path or parts.query or parts.fragment:
        return False
    port = _PORTS[parts.scheme]
    return parts.netloc.lower().removesuffix(port) == host.lower().removesuffix(port)
