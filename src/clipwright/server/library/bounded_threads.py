"""Work on a few threads, of which only so much may wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from clipwright.server.rejection import RejectionError

Result = TypeVar("Result")
_RETRY_SECONDS = 1.0


class BoundedThreads:
    """Runs blocking functions for the event loop."""

    def __init__(self, name: str, threads: int, most: int) -> None:
        """most: of calls that run or wait."""
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most = most
        self._calls = 0
        self._counting = threading.Lock()

    async def run(self, function: Callable[[], Result], deadline: float | None = None) -> Result:
        """What the function gives. deadline: a moment of the event loop's clock.

        Raises RejectionError: 429 overloaded where too many calls wait, 503 deadline_exceeded where it is not done in
        time; a call that has not begun by then never does.
        """
        with self._counting:
            if self._calls >= self._most:
                what = "too many searches are under way; try again in a second"
                raise RejectionError(429, "overloaded", what, retry_after=_RETRY_SECONDS)
            self._calls += 1
        future = self._executor.submit(function)
        future.add_done_callback(self._note_end)
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            if deadline is None or asyncio.get_running_loop().time() < deadline:
                raise  # the function's own
            raise RejectionError(
                503, "deadline_exceeded", "the index did not answer in time; try again", retry_after=_RETRY_SECONDS
            ) from None

    def close(self) -> None:
        """Waits for what runs; what has not begun never does."""
        self._executor.shutdown(cancel_futures=True)

    def _note_end(self, _: object) -> None:
        """Also of a call that nobody waits for any more: until then it has its thread."""
        with self._counting:
            self._calls -= 1
