"""Gives requests up whose clients went away."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Disconnects:
    """ASGI middleware: cancels what a request is doing when its client goes away. Stands inside of BodyLimits."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request = asyncio.current_task()
        assert request is not None
        body: Message | None = await receive()
        gone = asyncio.Event()
        is_answered = False

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            if not is_answered:  # the server says the same when an answer is complete
                gone.set()
                request.cancel()

        async def watched_send(message: Message) -> None:
            nonlocal is_answered
            is_answered = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        async def give() -> Message:
            nonlocal body
            if body is not None:
                message, body = body, None
                return message
            await gone.wait()
            return {"type": "http.disconnect"}

        watching = asyncio.create_task(watch())
        try:
            await self._app(scope, give, watched_send)
        except asyncio.CancelledError:
            if not gone.is_set() or request.uncancel() > 0:  # another wants it ended as well
                raise
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
        return None
