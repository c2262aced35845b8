"""A model that changes on disk."""

from __future__ import annotations

import asyncio
from typing import Any

import psutil
import pytest

from clipwright.errors import Failure
from clipwright.server.models import model_pool, served_model
from tests.server.models.fake_models import FakeFile, opened, picture, refusal, run, soon, text_vector, until, worker_of

pytestmark = pytest.mark.usefixtures("fake_workers")


def test_a_model_is_reloaded_under_load_and_nothing_is_lost(model: FakeFile) -> None:
    async def test() -> None:
        async with opened(model, text_batch_size=4, batch_size=4) as pool:
            seen = set()
            stop = asyncio.Event()

            async def ask(number: int) -> None:
                while not stop.is_set():
                    texts = await pool.embed_texts(None, [f"{number} {n}" for n in range(9)], soon())
                    pictures = await pool.embed_pictures(None, [picture()] * 3, soon())
                    assert len(set(texts.vectors[:, 3])) == 1  # never of two spaces in one answer
                    assert not any(isinstance(result, Failure) for result in pictures)
                    seen.add(float(texts.vectors[0, 3]))

            asking = [asyncio.create_task(ask(number)) for number in range(16)]
            await until(lambda: 1.0 in seen)
            old = worker_of(pool)
            model.write(space=2)
            assert (await pool.reload("fake")).space_id == "2"
            await until(lambda: 2.0 in seen)
            stop.set()
            await asyncio.gather(*asking)
            await until(lambda: not psutil.pid_exists(old))

    run(test())


def test_a_reload_goes_on_when_nobody_waits_for_it_any_more(model: FakeFile) -> None:
    """A large model takes longer than a request may."""

    async def test() -> None:
        async with opened(model) as pool:
            model.write(space=2)
            asked = asyncio.create_task(pool.reload("fake"))
            await asyncio.sleep(0.02)
            asked.cancel()
            await asyncio.wait([asked])
            while (await pool.facts()).space_id != "2":
                await asyncio.sleep(0.02)

    run(test())


def test_a_reload_that_fails_leaves_the_old_model(model: FakeFile) -> None:
    async def test() -> None:
        async with opened(model) as pool:
            before = worker_of(pool)
            model.write()
            refused = await refusal(pool.reload("fake"))
            assert (refused.status, refused.code) == (503, "model_unavailable")
            assert worker_of(pool) == before
            await pool.embed_texts(None, ["a"], soon())

    run(test())


def test_a_changed_file_is_opened_by_itself(model: FakeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_pool, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(served_model, "SETTLED_SECONDS", 0.05)

    async def test() -> None:
        async with opened(model) as pool:
            texts = await pool.embed_texts(None, ["a"], soon(), remembered=True)
            assert texts.vectors.tolist() == [text_vector("a", 1)]
            model.write()  # damaged: the old one goes on
            await asyncio.sleep(0.3)
            await pool.check(soon())
            model.write(space=2)
            while (await pool.facts()).space_id != "2":
                await asyncio.sleep(0.02)
            texts = await pool.embed_texts(None, ["a"], soon(), remembered=True)
            assert texts.vectors.tolist() == [text_vector("a", 2)]

    run(test())


def test_vectors_that_are_compared_are_of_one_space(model: FakeFile) -> None:
    async def test() -> None:
        async with opened(model) as pool:
            asked: list[float] = []

            async def compute(_: Any) -> set[float]:
                first = (await pool.embed_texts(None, ["a"], soon())).vectors[0, 3]
                if not asked:
                    model.write(space=2)
                    await pool.reload("fake")
                asked.append(first)
                return {first, (await pool.embed_texts(None, ["b"], soon())).vectors[0, 3]}

            assert await pool.consistently(None, compute) == {2.0}
            assert asked == [1.0, 2.0]

    run(test())
