"""The moment at which a request is given up."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clipwright.server.rejection import RejectionError
from clipwright.server.settings import Limits

_GRACE_SECONDS = 0.5
"""How much later than a deadline it is enforced: what knows more about the delay may say so itself."""
_SENDING_SECONDS = 120.0
"""For a client to take its answer."""
_RETRY_SECONDS = 1.0


class Deadlines:
    """ASGI middleware: sets a request's deadline, in its state, and ends it when that has passed.

    Stands inside of BodyLimits, so that a slow client uses up its own time.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        now = asyncio.get_running_loop().time
        deadline = now() + self._limits.deadline_seconds
        scope.setdefault("state", {})["deadline"] = deadline

        async def watched_send(message: Message) -> None:
            if message["type"] == "http.response.start" and not limit.expired():
                limit.reschedule(now() + _SENDING_SECONDS)
            await send(message)

        try:
            async with asyncio.timeout_at(deadline + _GRACE_SECONDS) as limit:
                await self._app(scope, receive, watched_send)
        except TimeoutError:
            if not limit.expired():
                raise
            raise RejectionError(
                503,
                "deadline_exceeded",
                f"there was no answer within {self._limits.deadline_seconds:g} seconds",
                retry_after=_RETRY_SECONDS,
            ) from None
        return None
