"""Counts requests and how long they took."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clipwright.server.metrics import Metrics

_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH"})
_GONE = 499
"""The status that is counted for a client that went away before its answer."""
_UNROUTED = "-"
"""The route of requests that came to none: refused before, or to an address that there is not."""


class RequestMetrics:
    """ASGI middleware: counts by a route's template, never by what clients make up."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        begun, status, is_counted = time.perf_counter(), _GONE, False

        def count() -> None:
            nonlocal is_counted
            if not is_counted:
                is_counted = True
                route = getattr(scope.get("route"), "path", _UNROUTED)
                method = scope["method"] if scope["method"] in _METHODS else "other"
                self._metrics.answered(route, method, status, time.perf_counter() - begun)

        async def watched_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif not message.get("more_body", False):
                count()  # before the end is sent: who has the answer finds it counted
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        finally:
            count()
        return None
