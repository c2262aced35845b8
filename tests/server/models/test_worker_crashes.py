"""Workers that die, hang or cannot be opened."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from clipwright.errors import ClipwrightError, Failure
from clipwright.server.metrics import Metrics
from clipwright.server.models import served_model, worker_process
from clipwright.server.models.suspects import Suspects
from clipwright.server.models.worker_process import WorkerProcess
from clipwright.server.models.worker_settings import WorkerSettings
from clipwright.server.rejection import RejectionError
from clipwright.server.settings import ModelSettings
from tests.server.models.fake_models import FakeFile, opened, picture, refusal, run, soon, text_vector, until, worker_of
from tests.server.models.fake_worker import COMMAND, CRASH, CRASHES, STOP

pytestmark = pytest.mark.usefixtures("fake_workers")


def test_requests_in_a_worker_that_is_killed_get_503_and_the_next_ones_an_answer(model: FakeFile) -> None:
    metrics = Metrics()

    async def test() -> None:
        async with opened(model, metrics=metrics, batch_size=2) as pool:
            with model.held():
                held: list[asyncio.Task[Any]] = [
                    asyncio.create_task(pool.embed_pictures(None, [picture()] * 2, soon())) for _ in range(4)
                ]
                held.append(asyncio.create_task(pool.embed_texts(None, ["a"], soon())))
                await until(lambda: len(model.batches) == 2)
                os.kill(worker_of(pool), signal.SIGKILL)
                for task in held:
                    refused = await refusal(task)
                    assert (refused.status, refused.code) == (503, "worker_restarting")
                    assert refused.retry_after is not None
                assert (await refusal(pool.check(soon()))).code == "worker_restarting"
            assert len(await pool.embed_pictures(None, [picture()], soon())) == 1
            await pool.check(soon())

    run(test())
    assert 'clipwright_worker_restarts_total{model="fake"} 1.0' in metrics.text().decode()


def test_what_a_killed_worker_was_not_given_yet_is_answered_by_the_next_one(model: FakeFile) -> None:
    async def test() -> None:
        async with opened(model, text_batch_size=1) as pool:
            with model.held():
                asked = [asyncio.create_task(pool.embed_texts(None, [f"text {n}"], soon())) for n in range(9)]
                await until(lambda: pool._models["fake"].items == 9)
                os.kill(worker_of(pool), signal.SIGKILL)
            results = await asyncio.gather(*asked, return_exceptions=True)
            refused = [result for result in results if isinstance(result, RejectionError)]
            assert len(refused) == 4  # as many batches as a worker is given ahead
            assert all(not isinstance(result, BaseException) for result in results[4:])

    run(test())


@pytest.mark.parametrize("text", [CRASH, STOP])
def test_a_worker_that_crashes_or_hangs_is_replaced(
    model: FakeFile, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "PING_SECONDS", 0.1)
    monkeypatch.setattr(worker_process, "HUNG_SECONDS", 1)

    async def test() -> None:
        async with opened(model) as pool:
            before = worker_of(pool)
            assert (await refusal(pool.embed_texts(None, [text], soon()))).code == "worker_restarting"
            assert (await pool.embed_texts(None, ["a"], soon())).vectors.tolist() == [text_vector("a")]
            assert worker_of(pool) != before

    run(test())


def test_a_job_that_never_ends_costs_the_worker_its_life(model: FakeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "PING_SECONDS", 0.1)
    monkeypatch.setattr(worker_process, "LONGEST_JOB", 0.5)

    async def test() -> None:
        async with opened(model) as pool:
            with model.held():
                assert (await refusal(pool.embed_texts(None, ["a"], soon()))).code == "worker_restarting"
            await pool.embed_texts(None, ["a"], soon())

    run(test())


def test_a_worker_that_keeps_dying_is_started_less_and_less_often(
    model: FakeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_model, "_FIRST_PAUSE", 0.25)  # the last of them is a second

    async def test() -> None:
        async with opened(model) as pool:
            served = pool._models["fake"]
            for number in range(4):  # other bytes each time, or they would be known
                crashing = picture(CRASHES, (8 + number, 8))
                assert (await refusal(pool.embed_pictures(None, [crashing], soon()))).code == "worker_restarting"
                if number < 3:
                    await until(lambda: served.is_open)
            assert served._refused_until > asyncio.get_running_loop().time()  # it is not started at once
            refused = await refusal(pool.embed_texts(None, ["a"], soon()))
            assert refused.code == "worker_restarting"
            assert refused.retry_after is not None
            await until(lambda: served.is_open)  # but it is
            await pool.embed_texts(None, ["a"], soon())

    run(test())


def test_a_worker_that_could_not_be_opened_again_is_tried_while_somebody_asks_whether_it_is_ready(
    model: FakeFile,
) -> None:
    async def test() -> None:
        async with opened(model) as pool:
            served = pool._models["fake"]
            model.write()  # damaged
            await refusal(pool.embed_texts(None, [CRASH], soon()))
            await until(lambda: served._not_opened is not None)
            model.write(space=1)
            assert (await refusal(pool.check(soon()))).code == "model_unavailable"
            await asyncio.sleep(served._refused_until - asyncio.get_running_loop().time())
            assert (await refusal(pool.check(soon()))).code == "worker_restarting"
            await until(lambda: served.is_open)
            await pool.check(soon())

    run(test())


def test_a_worker_whose_opening_is_given_up_as_it_succeeds_is_ended(model: FakeFile) -> None:
    ended: list[object] = []

    async def test() -> None:
        settings = WorkerSettings(str(model.path), "fake", 1_000_000, ModelSettings())
        worker = WorkerProcess(settings, Suspects(), lambda *_: None, ended.append)
        opening = asyncio.create_task(worker.open())
        await until(lambda: worker._process is not None)
        assert worker._process is not None
        assert worker._process.stdout is not None
        pipe = worker._process.stdout._transport.get_extra_info("pipe")  # type: ignore[attr-defined]
        assert select.select([pipe], [], [], 60)[0]  # it has said that it is open; the event loop does not know yet
        opening.cancel()
        await asyncio.wait([opening], timeout=60)
        assert opening.cancelled()
        assert worker.ended.is_set()

    run(test())
    assert not ended  # it never was open to anybody


def test_a_machine_that_can_start_no_process_is_said_so(
    model: FakeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_process(*_: Any, **__: Any) -> Any:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    async def test() -> None:
        async with opened(model, FakeFile(tmp_path / "other.json", space=2)) as pool:
            with monkeypatch.context() as patch:
                patch.setattr(asyncio, "create_subprocess_exec", no_process)
                refused = await refusal(pool.facts("other"))
                assert (refused.status, refused.code) == (503, "model_unavailable")
                assert refused.retry_after is not None
                os.kill(worker_of(pool), signal.SIGKILL)
                await until(lambda: pool._models["fake"]._not_opened is not None)
                assert (await refusal(pool.embed_texts("fake", ["a"], soon()))).code == "model_unavailable"
            while True:
                with contextlib.suppress(RejectionError):
                    await pool.check(soon())
                    break
                await asyncio.sleep(0.05)

    run(test())


def test_a_model_that_cannot_be_opened_is_said_once(model: FakeFile, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with opened(model) as pool:
            served = pool._models["fake"]
            served.evict()
            model.write()  # damaged
            await refusal(pool.reload("fake"))
            await asyncio.sleep(0.1)
            assert served._opening is None

    run(test())
    assert [record.getMessage().rpartition(" ")[2] for record in caplog.records] == ["damaged"]


def test_a_picture_that_ends_two_workers_is_not_decoded_again(model: FakeFile) -> None:
    async def test() -> None:
        async with opened(model) as pool:
            good, crashing = picture(), picture(CRASHES)

            async def ask(data: bytes) -> np.ndarray | Failure | str:
                try:
                    return (await pool.embed_pictures(None, [data], soon()))[0]
                except RejectionError as refused:
                    return refused.code

            with model.held():
                asked = [asyncio.create_task(ask(data)) for data in (good, crashing, good)]
                await until(lambda: len(model.batches) == 1)
            assert await asyncio.gather(*asked) == ["worker_restarting"] * 3 or isinstance(
                asked[0].result(), np.ndarray
            )
            answers = await asyncio.gather(*(ask(data) for data in (good, crashing, good, good)))
            assert answers[1] == "worker_restarting"  # alone: the others are before it or after it
            assert all(isinstance(answer, np.ndarray) for answer in (answers[0], answers[2], answers[3]))
            failure, vector = await asyncio.gather(ask(crashing), ask(good))
            assert isinstance(failure, Failure)
            assert failure.code == "unreadable"
            assert isinstance(vector, np.ndarray)

    run(test())


def test_a_model_that_cannot_be_opened_again_is_told_without_its_path(model: FakeFile) -> None:
    async def test() -> None:
        async with opened(model) as pool:
            model.write()
            os.kill(worker_of(pool), signal.SIGKILL)
            await until(lambda: pool._models["fake"]._not_opened is not None)
            for asked in (pool.embed_texts(None, ["a"], soon()), pool.check(soon())):
                refused = await refusal(asked)
                assert (refused.status, refused.code) == (503, "model_unavailable")
                assert refused.retry_after is not None
                assert str(model.path.parent) not in str(refused)
            model.write(space=2)

            async def answered() -> bool:
                with contextlib.suppress(RejectionError):
                    return bool((await pool.embed_texts(None, ["a"], soon())).vectors.any())
                return False

            while not await answered():
                await asyncio.sleep(0.05)

    run(test())


def test_a_server_whose_first_model_cannot_be_opened_does_not_start(tmp_path: Path) -> None:
    async def test() -> None:
        damaged = FakeFile(tmp_path / "damaged.json")
        damaged.write()
        with pytest.raises(ClipwrightError, match="damaged"):
            async with opened(damaged):
                pass

    run(test())


def test_no_worker_outlives_its_server(model: FakeFile) -> None:
    code = (
        "import asyncio\n"
        "from clipwright.server.models import worker_process\n"
        "from tests.server.models.fake_models import *\n"
        f"worker_process.COMMAND = {COMMAND!r}\n"
        "async def main():\n"
        f"    async with opened({str(model.path)!r}) as pool:\n"
        "        print(worker_of(pool), flush=True)\n"
        "        await pool.embed_pictures(None, [picture()], soon())\n"
        "        await asyncio.sleep(3600)\n"
        "asyncio.run(main())\n"
    )
    with (
        model.held(),
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as server,
    ):
        assert server.stdout is not None
        worker = psutil.Process(int(server.stdout.readline()))
        worker.send_signal(signal.SIGINT)  # as a terminal sends to all of its processes
        worker.send_signal(signal.SIGTERM)
        while not model.batches:
            assert server.poll() is None
        assert worker.is_running()
        server.kill()
        assert worker.wait(60) is None or not worker.is_running()
