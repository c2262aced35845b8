"""Pools of models one can read, in real processes: fake_worker.py says what they do."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from clipwright.server.metrics import Metrics
from clipwright.server.models.model_pool import ModelPool
from clipwright.server.rejection import RejectionError
from clipwright.server.settings import Limits, ModelSettings

GREY = (128, 128, 128)


class FakeFile:
    """The file of a fake model, and what goes with it."""

    def __init__(self, path: Path, space: int = 1, **facts: Any) -> None:
        self.path = path
        self.write(space=space, **facts)

    def write(self, **facts: Any) -> None:
        replacement = self.path.with_suffix(".new")
        replacement.write_text(json.dumps(facts))
        replacement.replace(self.path)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """The model computes nothing in here."""
        hold = Path(f"{self.path}.hold")
        hold.touch()
        try:
            yield
        finally:
            hold.unlink(missing_ok=True)

    @property
    def batches(self) -> list[list[Any]]:
        """What the model was given, batch by batch."""
        log = Path(f"{self.path}.log")
        return [json.loads(line)["items"] for line in log.read_text().splitlines()] if log.exists() else []


@contextlib.asynccontextmanager
async def opened(
    *models: FakeFile | str, limits: Limits | None = None, metrics: Metrics | None = None, **settings: Any
) -> AsyncIterator[ModelPool]:
    names = [str(model.path) if isinstance(model, FakeFile) else model for model in models]
    pool = ModelPool(names, ModelSettings(**settings), limits or Limits(), metrics or Metrics())
    await pool.start()
    try:
        yield pool
    finally:
        await pool.close()


def soon(seconds: float = 60) -> float:
    return asyncio.get_running_loop().time() + seconds


def picture(colour: tuple[int, int, int] = GREY, size: tuple[int, int] = (8, 8)) -> bytes:
    encoded = io.BytesIO()
    Image.new("RGB", size, colour).save(encoded, "PNG")
    return encoded.getvalue()


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(3_000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to that")


def run(test: Awaitable[None]) -> None:
    async def awaited() -> None:
        await test

    asyncio.run(awaited())


async def refusal(asked: Awaitable[Any]) -> RejectionError:
    with pytest.raises(RejectionError) as refused:
        await asked
    return refused.value


def worker_of(pool: ModelPool, number: int = 0) -> int:
    """The process id of a model's worker."""
    worker = pool._models[pool.names[number]]._worker
    assert worker is not None
    return worker.pid


def text_vector(text: str, space: int = 1) -> list[float]:
    return [len(text), 0, 0, space]
