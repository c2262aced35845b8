"""Real processes with a model one can read: fake_worker.py says what it does."""

from __future__ import annotations

import asyncio
import io
import os
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from clipwright.errors import Failure
from clipwright.server.metrics import Metrics
from clipwright.server.settings import Limits
from tests.inputs.pictures import wide_profile
from tests.server.models.fake_models import (
    GREY,
    FakeFile,
    opened,
    picture,
    refusal,
    run,
    soon,
    text_vector,
    until,
    worker_of,
)
from tests.server.models.fake_worker import FAIL, GIVES_NAN, RAISES

pytestmark = pytest.mark.usefixtures("fake_workers")


def test_texts_and_pictures_are_answered_in_order(model: FakeFile) -> None:
    async def test() -> None:
        async with opened(model) as pool:
            texts = await pool.embed_texts(None, ["a cat", "a very long text indeed", "a cat"], soon())
            assert texts.vectors.tolist() == [text_vector(t) for t in ("a cat", "a very long text indeed", "a cat")]
            assert texts.tokens == (7, 12, 7)
            assert texts.dropped == (0, 13, 0)
            colours = [(10, 20, 30), (200, 100, 50), (0, 200, 0)]
            vectors = await pool.embed_pictures(None, [picture(colour) for colour in colours], soon())
            for colour, vector in zip(colours, vectors, strict=True):
                assert isinstance(vector, np.ndarray)
                assert vector.tolist() == pytest.approx([*(value / 127.5 - 1 for value in colour), 1], abs=1e-5)
            assert (await pool.embed_texts(None, [], soon())).vectors.shape == (0, 4)
            assert await pool.embed_pictures(None, [], soon()) == []

    run(test())


def test_a_library_that_prints_does_no_harm(model: FakeFile, capfd: pytest.CaptureFixture[str]) -> None:
    async def test() -> None:
        async with opened(model) as pool:
            assert len(await pool.embed_pictures(None, [picture()] * 3, soon())) == 3

    run(test())
    said = capfd.readouterr()
    assert "a library's own remark" in said.err
    assert said.out == ""


def test_facts_are_those_of_the_model_and_its_path_is_nowhere(model: FakeFile) -> None:
    async def test() -> None:
        async with opened(model) as pool:
            facts = await pool.facts()
            assert (facts.name, facts.space_id, facts.embed_dim, facts.scale) == ("fake", "1", 4, 100.0)
            assert facts.spec.mean == (0.48145466, 0.4578275, 0.40821073)
            assert str(model.path.parent) not in str(facts)
            assert await pool.facts("fake") == facts

    run(test())


def test_an_unknown_model_is_refused(model: FakeFile) -> None:
    async def test() -> None:
        async with opened(model) as pool:
            for asked in (
                pool.facts("other"),
                pool.embed_texts(str(model.path), ["a"], soon()),
                pool.embed_pictures("../fake", [picture()], soon()),
            ):
                assert (await refusal(asked)).status == 404

    run(test())


@pytest.mark.parametrize(
    ("bad", "code"),
    [(picture(RAISES), "unreadable"), (picture(GIVES_NAN), "unreadable"), (b"no picture", "not_an_image")],
)
def test_one_bad_picture_among_sixteen_fails_alone(model: FakeFile, bad: bytes, code: str) -> None:
    async def test() -> None:
        async with opened(model, batch_seconds=1) as pool:
            results = await pool.embed_pictures(None, [picture()] * 9 + [bad] + [picture()] * 6, soon())
            failure = results.pop(9)
            assert isinstance(failure, Failure)
            assert (failure.source, failure.code) == (9, code)
            assert str(model.path.parent) not in failure.message
            assert all(isinstance(result, np.ndarray) for result in results)

    run(test())


def test_one_bad_text_is_named_and_spares_the_texts_of_others(model: FakeFile) -> None:
    async def test() -> None:
        async with opened(model) as pool:
            with model.held():
                first = asyncio.create_task(pool.embed_texts(None, ["first"], soon()))
                await until(lambda: bool(model.batches))
                bad = asyncio.create_task(pool.embed_texts(None, ["good", FAIL, "fine"], soon()))
                good = asyncio.create_task(pool.embed_texts(None, ["other"], soon()))
                await until(lambda: pool._models["fake"].items == 5)
            await first
            assert (await good).vectors.tolist() == [text_vector("other")]
            refused = await refusal(bad)
            assert (refused.status, refused.index) == (422, 1)

    run(test())


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(model: FakeFile) -> None:
    async def test() -> None:
        async with opened(model, limits=Limits(picture_pixels=10_000)) as pool:
            truncated = picture(size=(101, 100))[:60]  # it has a header, and could not be decoded
            small, large, cut = await pool.embed_pictures(
                None, [picture(size=(100, 100)), picture(size=(101, 100)), truncated], soon()
            )
            assert isinstance(small, np.ndarray)
            for failure in (large, cut):
                assert isinstance(failure, Failure)
                assert failure.code == "too_large"
                assert "10,000" in failure.message

    run(test())


def test_a_file_is_rendered_in_the_colours_that_it_means(model: FakeFile, tmp_path: Path) -> None:
    Image.new("RGB", (40, 20), (200, 100, 100)).save(tmp_path / "a.png", icc_profile=wide_profile())

    async def test() -> None:
        async with opened(model) as pool:
            rendered = await pool.render(tmp_path / "a.png", 100, soon())
            assert isinstance(rendered, bytes)
            with Image.open(io.BytesIO(rendered)) as image:
                assert np.allclose(np.asarray(image)[9, 9], (213, 93, 96), atol=5)

    run(test())


def test_a_file_is_rendered_upright_and_no_larger_than_asked(model: FakeFile, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (400, 200), GREY).save(path, exif=exif)

    async def test() -> None:
        async with opened(model) as pool:
            rendered = await pool.render(path, 100, soon())
            assert isinstance(rendered, bytes)
            with Image.open(io.BytesIO(rendered)) as image:
                assert (image.format, image.size) == ("JPEG", (50, 100))
            lost = await pool.render(tmp_path / "lost.jpg", 100, soon())
            assert isinstance(lost, Failure)
            assert lost.code == "missing"

    run(test())


def test_what_comes_while_the_model_computes_is_its_next_batch(model: FakeFile) -> None:
    metrics = Metrics()

    async def test() -> None:
        async with opened(model, metrics=metrics, batch_size=16) as pool:
            with model.held():
                asked = [asyncio.create_task(pool.embed_pictures(None, [picture()], soon()))]
                await until(lambda: len(model.batches) == 1)
                asked += [asyncio.create_task(pool.embed_pictures(None, [picture()], soon())) for _ in range(20)]
                await until(lambda: pool._models["fake"].items == 21)
                await asyncio.sleep(0.3)  # for them to be decoded; else batches are smaller
            await asyncio.gather(*asked)
            assert sum(len(batch) for batch in model.batches) == 21
            assert max(len(batch) for batch in model.batches) == 16

    run(test())
    assert 'clipwright_batch_items_sum{kind="picture",model="fake"} 21.0' in metrics.text().decode()


def test_texts_do_not_wait_for_pictures(model: FakeFile, tmp_path: Path) -> None:
    async def test() -> None:
        async with opened(model) as pool:
            hung = asyncio.create_task(pool.embed_pictures(None, [picture((1, 2, 3))], soon()))
            with model.held():
                await until(lambda: len(model.batches) == 1)
                Path(f"{model.path}.hold").rename(tmp_path / "let go")  # only for a moment
                assert (await pool.embed_texts(None, ["a"], soon())).vectors.tolist() == [text_vector("a")]
            await hung

    run(test())


def test_a_large_order_does_not_hold_up_small_ones(model: FakeFile) -> None:
    async def test() -> None:
        async with opened(model, text_batch_size=4) as pool:
            with model.held():
                large = asyncio.create_task(pool.embed_texts(None, [f"text {n}" for n in range(200)], soon()))
                await until(lambda: len(model.batches) == 1)
                small = asyncio.create_task(pool.embed_texts(None, ["small"], soon()))
                await until(lambda: pool._models["fake"].items == 201)
            await small
            assert not large.done()
            await large

    run(test())


def test_remembered_texts_are_embedded_once(model: FakeFile) -> None:
    async def test() -> None:
        async with opened(model) as pool:
            for _ in range(3):
                texts = await pool.embed_texts(None, ["cat", "dog", "cat"], soon(), remembered=True)
                assert texts.vectors.tolist() == [text_vector("cat")] * 3
                assert texts.tokens == (5, 5, 5)
            await pool.embed_texts(None, ["cow", "dog"], soon(), remembered=True)
            assert [text for batch in model.batches for text in batch] == ["cat", "dog", "cow"]

    run(test())


def test_a_call_that_shares_work_has_a_deadline_of_its_own(model: FakeFile) -> None:
    async def test() -> None:
        async with opened(model, limits=Limits(deadline_seconds=0.3)) as pool:
            with model.held():
                first = asyncio.create_task(pool.embed_texts(None, ["a"], soon(0.3), remembered=True))
                await until(lambda: bool(model.batches))
                second = asyncio.create_task(pool.embed_texts(None, ["a"], soon(), remembered=True))
                assert (await refusal(first)).code == "deadline_exceeded"
                await asyncio.sleep(0.2)
            assert (await second).vectors.tolist() == [text_vector("a")]
            assert sum(len(batch) for batch in model.batches) == 1

    run(test())


def test_calls_that_ask_for_the_same_labels_at_once_share_the_work(model: FakeFile) -> None:
    metrics = Metrics()

    async def test() -> None:
        labels = [f"label {number}" for number in range(50)]
        async with opened(model, limits=Limits(queue_items=60), metrics=metrics) as pool:
            with model.held():
                asked = [
                    asyncio.create_task(pool.embed_texts(None, labels, soon(), remembered=True)) for _ in range(20)
                ]
                await until(lambda: bool(model.batches))
                assert pool._models["fake"].items == 50
                assert 'clipwright_queued_items{model="fake"} 50.0' in metrics.text().decode()
                asked[0].cancel()  # the others still want them
                late = await refusal(pool.embed_texts(None, labels, soon(0.05), remembered=True))
                assert late.code == "deadline_exceeded"
            for texts in await asyncio.gather(*asked[1:]):
                assert texts.vectors.tolist() == [text_vector(label) for label in labels]
            assert sum(len(batch) for batch in model.batches) == 50

    run(test())


def test_shared_work_is_withdrawn_with_the_last_call_that_wants_it(model: FakeFile) -> None:
    async def test() -> None:
        labels = [f"label {number}" for number in range(500)]
        async with opened(model) as pool:
            with model.held():
                asked = [asyncio.create_task(pool.embed_texts(None, labels, soon(), remembered=True)) for _ in range(3)]
                await until(lambda: bool(model.batches))
                for task in asked:
                    task.cancel()
                await asyncio.wait(asked)
                await until(lambda: pool._models["fake"].items == len(model.batches[0]))

    run(test())


def test_a_cancelled_call_never_reaches_the_model(model: FakeFile) -> None:
    async def test() -> None:
        async with opened(model, batch_size=2, text_batch_size=2) as pool:
            with model.held():
                first = [
                    asyncio.create_task(pool.embed_pictures(None, [picture()], soon())),
                    asyncio.create_task(pool.embed_texts(None, ["first"], soon())),
                ]
                await until(lambda: len(model.batches) == 2)
                cancelled = [
                    asyncio.create_task(pool.embed_pictures(None, [picture((9, 9, 90))] * 40, soon())),
                    asyncio.create_task(pool.embed_texts(None, [f"cancelled {n}" for n in range(40)], soon())),
                ]
                await until(lambda: pool._models["fake"].items == 82)
                for task in cancelled:
                    task.cancel()
                await asyncio.wait(cancelled)
                await until(lambda: pool._models["fake"].items == 2)
            await asyncio.gather(*first)
            await pool.embed_texts(None, ["last"], soon())
            assert sorted(map(str, model.batches)) == sorted(["[[128, 128, 128]]", "['first']", "['last']"])

    run(test())


def test_a_call_is_given_up_at_its_deadline_and_leaves_the_queue(model: FakeFile) -> None:
    async def test() -> None:
        async with opened(model, batch_size=1) as pool:
            with model.held():
                late = await refusal(pool.embed_pictures(None, [picture()] * 9, soon(0.3)))
                assert (late.status, late.code) == (503, "deadline_exceeded")
                assert late.retry_after is not None
                await until(lambda: pool._models["fake"].items <= 1)  # the one that the model has
            assert len(await pool.embed_pictures(None, [picture()], soon())) == 1

    run(test())


def test_what_the_queue_has_no_room_for_is_refused_at_once(model: FakeFile) -> None:
    async def test() -> None:
        async with opened(model, limits=Limits(queue_items=10)) as pool:
            with model.held():
                accepted = [asyncio.create_task(pool.embed_pictures(None, [picture()] * 5, soon())) for _ in range(2)]
                await until(lambda: pool._models["fake"].items == 10)
                for asked in (pool.embed_texts(None, ["a"], soon()), pool.embed_pictures(None, [picture()], soon())):
                    refused = await refusal(asked)
                    assert (refused.status, refused.code) == (429, "overloaded")
                    assert refused.retry_after is not None
                    assert refused.retry_after >= 1
            for results in await asyncio.gather(*accepted):
                assert len(results) == 5
            await pool.embed_texts(None, ["a"], soon())

    run(test())


def test_a_request_larger_than_the_queue_is_answered_when_the_queue_is_empty(model: FakeFile) -> None:
    async def test() -> None:
        async with opened(model, limits=Limits(queue_items=10)) as pool:
            texts = [str(n) for n in range(50)]
            assert len((await pool.embed_texts(None, texts, soon())).vectors) == 50

    run(test())


def test_closing_finishes_what_was_accepted(model: FakeFile) -> None:
    async def test() -> None:
        async with opened(model, text_batch_size=2) as pool:
            with model.held():
                asked = [asyncio.create_task(pool.embed_texts(None, [f"text {n}"], soon())) for n in range(40)]
                await until(lambda: pool._models["fake"].items == 40)
                worker = worker_of(pool)
                closing = asyncio.create_task(pool.close())
                await asyncio.sleep(0.1)
                assert (await refusal(pool.embed_texts(None, ["late"], soon()))).code == "shutting_down"
                assert not closing.done()
            for texts in await asyncio.gather(*asked):
                assert len(texts.vectors) == 1
            await closing
            assert not psutil.pid_exists(worker)

    run(test())


def test_what_cannot_be_finished_in_time_is_refused_at_the_end(model: FakeFile) -> None:
    async def test() -> None:
        async with opened(model, limits=Limits(drain_seconds=0.2)) as pool:
            with model.held():
                asked = asyncio.create_task(pool.embed_texts(None, ["a"], soon()))
                await until(lambda: bool(model.batches))
                await pool.close()
                assert (await refusal(asked)).code == "shutting_down"

    run(test())
