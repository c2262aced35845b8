"""Several models, opened when they are asked for, within a budget."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from clipwright.errors import ClipwrightError
from tests.server.models.fake_models import FakeFile, opened, refusal, run, soon, text_vector, until

pytestmark = pytest.mark.usefixtures("fake_workers")


def test_models_are_opened_when_they_are_asked_for(tmp_path: Path) -> None:
    async def test() -> None:
        first, second = (FakeFile(tmp_path / f"{name}.json", space) for space, name in enumerate(("a", "b"), 1))
        async with opened(first, second) as pool:
            assert pool.names == ("a", "b")
            assert [pool.is_open(name) for name in pool.names] == [True, False]
            assert pool.known_facts("b") is None
            both = await asyncio.gather(*(pool.embed_texts(name, ["x"], soon()) for name in ("a", "b", "b", None)))
            assert [texts.vectors[0, 3] for texts in both] == [1, 2, 2, 1]
            assert pool.is_open("b")

    run(test())


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    async def test() -> None:
        (tmp_path / "sub").mkdir()
        with pytest.raises(ClipwrightError, match="two models"):
            async with opened(FakeFile(tmp_path / "a.json"), FakeFile(tmp_path / "sub" / "a.json")):
                pass

    run(test())


def test_the_least_recently_used_model_makes_room_for_another(tmp_path: Path) -> None:
    async def test() -> None:
        files = [FakeFile(tmp_path / f"{name}.json", megabytes=200) for name in "abc"]
        async with opened(*files, memory_budget=700 * 2**20) as pool:  # two of them, about 250 MiB each
            for name in "abab":
                await pool.embed_texts(name, ["x"], soon())
            assert [pool.is_open(name) for name in "abc"] == [True, True, False]
            await pool.embed_texts("c", ["x"], soon())
            await until(lambda: not pool.is_open("a"))
            assert [pool.is_open(name) for name in "abc"] == [False, True, True]
            await pool.embed_texts("a", ["x"], soon())  # it comes back

    run(test())


def test_a_model_with_work_is_not_closed_for_another(tmp_path: Path) -> None:
    async def test() -> None:
        busy, other = FakeFile(tmp_path / "a.json", megabytes=200), FakeFile(tmp_path / "b.json", megabytes=200)
        async with opened(busy, other, memory_budget=400 * 2**20) as pool:
            with busy.held():
                asked = asyncio.create_task(pool.embed_texts("a", ["x"], soon()))
                await until(lambda: bool(busy.batches))
                await pool.embed_texts("b", ["x"], soon())
                assert pool.is_open("a")
            assert (await asked).vectors.tolist() == [text_vector("x")]

    run(test())


def test_a_model_beyond_the_budget_is_refused_with_a_sentence(tmp_path: Path) -> None:
    async def test() -> None:
        small, large = FakeFile(tmp_path / "small.json"), FakeFile(tmp_path / "large.json", megabytes=400)
        async with opened(small, large, memory_budget=350 * 2**20) as pool:
            refused = await refusal(pool.embed_texts("large", ["x"], soon()))
            assert (refused.status, refused.code) == (503, "model_unavailable")
            assert "350 MiB" in str(refused)
            await pool.embed_texts("small", ["x"], soon())

    run(test())
