"""Blocking functions on a few threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from clipwright.server.library.bounded_threads import BoundedThreads
from clipwright.server.rejection import RejectionError


def run(scene: Callable[[BoundedThreads], Coroutine[Any, Any, None]], threads: int = 1, most: int = 2) -> None:
    bounded = BoundedThreads("test", threads, most)
    try:
        asyncio.run(scene(bounded))
    finally:
        bounded.close()


def test_what_the_function_gives_or_raises_comes_back() -> None:
    async def scene(bounded: BoundedThreads) -> None:
        assert await bounded.run(threading.get_ident) != threading.get_ident()
        with pytest.raises(ZeroDivisionError):
            await bounded.run(lambda: 1 // 0)
        with pytest.raises(TimeoutError, match="its own"):
            await bounded.run(lambda: (_ for _ in ()).throw(TimeoutError("its own")), now() + 100)

    run(scene)


def test_more_than_may_wait_are_refused_until_one_has_ended() -> None:
    async def scene(bounded: BoundedThreads) -> None:
        go = threading.Event()
        calls = [asyncio.create_task(bounded.run(go.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(RejectionError) as refused:
            await bounded.run(go.wait)
        assert (refused.value.status, refused.value.code) == (429, "overloaded")
        assert refused.value.retry_after
        go.set()
        await asyncio.gather(*calls)
        assert await bounded.run(lambda: 7) == 7

    run(scene)


def test_a_call_that_is_not_done_in_time_is_given_up_and_one_that_waits_never_begins() -> None:
    begun = []

    async def scene(bounded: BoundedThreads) -> None:
        go = threading.Event()
        first = asyncio.create_task(bounded.run(go.wait, now() + 0.05))
        await asyncio.sleep(0)
        for call in (first, bounded.run(lambda: begun.append(1), now() + 0.01)):
            with pytest.raises(RejectionError) as refused:
                await call
            assert (refused.value.status, refused.value.code) == (503, "deadline_exceeded")
        go.set()

    run(scene)
    assert not begun


def test_a_caller_that_goes_away_takes_its_call_out_of_the_queue() -> None:
    begun = []

    async def scene(bounded: BoundedThreads) -> None:
        go = threading.Event()
        first = asyncio.create_task(bounded.run(go.wait))
        second = asyncio.create_task(bounded.run(lambda: begun.append(1)))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        go.set()
        await first
        assert await bounded.run(lambda: 7) == 7

    run(scene)
    assert not begun


def now() -> float:
    return asyncio.get_running_loop().time()
