"""One model of a server: its worker is started when it is needed, when it has died, and when the files changed."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from clipwright.checkpoints.load import STARTER, split_name
from clipwright.server.metrics import Metrics
from clipwright.server.models.model_facts import ModelFacts
from clipwright.server.models.orders import Order, OrderKind
from clipwright.server.models.suspects import Suspects
from clipwright.server.models.worker_process import NotOpenedError, WorkerProcess
from clipwright.server.models.worker_settings import WorkerSettings
from clipwright.server.rejection import RejectionError
from clipwright.server.settings import ModelSettings

SOUND_SECONDS = 60.0
"""A worker that has lived so long was sound; when it dies, it is started again at once."""
SETTLED_SECONDS = 1.0
"""Files that have changed are opened anew when they have stayed the same for so long."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0
_USUAL_OPENING = 2.0
logger = logging.getLogger(__name__)


class ServedModel:
    """A model by its name, whichever process runs it now. Belongs to one event loop."""

    def __init__(
        self, source: str, settings: ModelSettings, picture_pixels: int, metrics: Metrics, on_opened: Callable[[], None]
    ) -> None:
        """source: as load_embedder takes it. on_opened is called when a worker is ready, and takes memory."""
        self.source, self.name = source, public_name(source)
        self._settings = WorkerSettings(source, self.name, picture_pixels, settings)
        self._metrics, self._on_opened = metrics, on_opened
        metrics.watch_queue(self.name, lambda: self.items)
        self._suspects = Suspects()
        self._facts: ModelFacts | None = None
        self._worker: WorkerProcess | None = None
        self._retired: set[WorkerProcess] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._waiting: list[Order] = []
        self._opening: asyncio.Task[NotOpenedError | None] | None = None
        self._reloads: set[asyncio.Task[NotOpenedError | None]] = set()
        self._reloading = asyncio.Lock()
        """One reload after the other: each opens what is on disk when it begins."""
        self._opening_seconds = _USUAL_OPENING
        self._opened_at = 0.0
        self._in_a_row = 0
        """Openings that failed, or workers that died soon, one after the other."""
        self._refused_until = 0.0
        self._not_opened: str | None = None
        """Why the last opening failed, in words for clients."""
        self._closed = False
        self._pace: dict[str, float] = {}
        self._seen: tuple[FileStamp, ...] | None = None
        self.used = 0.0
        """When it was last asked for something, on the event loop's clock."""

    @property
    def is_open(self) -> bool:
        return self._worker is not None

    def _load(self) -> Counter[OrderKind]:
        """Items by kind that wait or are in a process."""
        load: Counter[OrderKind] = Counter()
        for order in self._waiting:
            load[order.kind] += len(order.items)
        for worker in (self._worker, *self._retired):
            if worker is not None:
                load += worker.load
        return load

    @property
    def items(self) -> int:
        """How many wait or are in a process."""
        workers = sum(worker.items for worker in (self._worker, *self._retired) if worker is not None)
        return workers + sum(len(order.items) for order in self._waiting)

    def backlog_seconds(self) -> float:
        """About how long what is asked for now will take."""
        return sum(count * self._pace.get(kind, 0.0) for kind, count in self._load().items())

    def memory(self) -> int:
        """Resident bytes of its processes."""
        return sum(worker.memory() for worker in (self._worker, *self._retired) if worker is not None)

    async def facts(self) -> ModelFacts:
        """Opens the model where it never was. Raises NotOpenedError."""
        while self._facts is None:
            self._raise_refusal()
            opening = self._open_soon()
            await asyncio.wait([opening])  # others wait for it too: a caller that is cancelled does not end it
            failure = None if opening.cancelled() else opening.result()
            if failure is not None and self._facts is None:
                raise failure
        return self._facts

    @property
    def known_facts(self) -> ModelFacts | None:
        """None where it was never open."""
        return self._facts

    def submit(self, order: Order) -> None:
        """Has an order answered, sooner or later. Raises RejectionError where that cannot be."""
        self.used = _now()
        if self._worker is not None:
            self._check_kind(order, self._worker)
            self._worker.submit(order)
            return
        self._raise_refusal()
        self._waiting.append(order)
        self._open_soon()

    def withdraw(self, order: Order) -> None:
        """Takes out what was not computed yet of an order that nobody waits for."""
        if order in self._waiting:
            self._waiting.remove(order)
        for worker in (self._worker, *self._retired):
            if worker is not None:
                worker.withdraw(order)

    def check(self) -> None:
        """Raises RejectionError where the worker has died, and is not ready again; then sees to it that it will be."""
        self._raise_refusal()
        if self._worker is None and self._in_a_row:
            self._open_soon()
            raise self._restarting(self._opening_seconds)

    async def reload(self) -> None:
        """Opens the model anew, from what is on disk now, and uses that from then on; nothing asked for is lost.

        Goes on where the caller is cancelled. Raises NotOpenedError; then the worker that was there goes on.
        """
        reload = asyncio.create_task(self._reload())
        self._reloads.add(reload)
        reload.add_done_callback(self._reloads.discard)
        await asyncio.wait([reload])
        failure = reload.result()
        if failure is not None:
            raise failure

    async def reload_if_changed(self) -> None:
        """Reloads where the files on disk are others than those opened, and nobody is writing them any more."""
        if self._worker is None or self._seen is None or self._opening is not None:
            return
        now = await asyncio.to_thread(file_stamps, self.source)
        if not now or now == self._seen:
            return
        await asyncio.sleep(SETTLED_SECONDS)
        if await asyncio.to_thread(file_stamps, self.source) != now:
            return
        try:
            await self.reload()
        except NotOpenedError:
            logger.error("the files of %s have changed, and cannot be opened; the old ones go on", self.name)
        else:
            logger.warning("the files of %s have changed; they were opened anew", self.name)

    def evict(self) -> None:
        """Ends the worker of an idle model; it is opened again when it is asked for."""
        if self._worker is not None:
            worker, self._worker, self._in_a_row = self._worker, None, 0
            self._retire(worker)

    async def close(self, seconds: float) -> None:
        """Finishes what was asked for, within so many seconds, and ends the processes."""
        give_up = _now() + seconds
        while self.items and _now() < give_up:
            await asyncio.sleep(0.02)
        self._closed = True
        starting = [task for task in (self._opening, *self._reloads) if task is not None]
        for task in starting:
            task.cancel()
        if starting:
            await asyncio.wait(starting)
        orders, self._waiting = self._waiting, []
        workers = [worker for worker in (self._worker, *self._retired) if worker is not None]
        self._worker = None
        for worker in workers:
            orders += worker.take_begun() + worker.take_unbegun()
        for order in orders:
            order.refuse(RejectionError(503, "shutting_down", "the server is being shut down", retry_after=5))
        await asyncio.gather(*(worker.close() for worker in workers))
        if self._ending:
            await asyncio.wait(self._ending)

    def _open_soon(self) -> asyncio.Task[NotOpenedError | None]:
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        return self._opening

    async def _open(self) -> NotOpenedError | None:
        """Opens the model; gives why it could not be."""
        try:
            await asyncio.sleep(max(0.0, self._refused_until - _now()))
            self._seen = await asyncio.to_thread(file_stamps, self.source)
            worker, facts = await self._start()
        except NotOpenedError as error:
            logger.error("%s", error)
            self._not_opened = error.told
            self._refused_until = _now() + self._pause()
            orders, self._waiting = self._waiting, []
            for order in orders:
                order.refuse(self._unavailable())
            return error
        finally:
            self._opening = None
        self._use(worker, facts)
        return None

    async def _reload(self) -> NotOpenedError | None:
        """Opens the model anew; gives why it could not be."""
        async with self._reloading:
            if self._opening is not None:
                await asyncio.wait([self._opening])
            self._seen = await asyncio.to_thread(file_stamps, self.source)
            try:
                worker, facts = await self._start()
            except NotOpenedError as error:
                logger.error("%s", error)
                return error
            if self._opening is not None:  # the old one died meanwhile
                self._opening.cancel()
            old = self._worker
            self._use(worker, facts)
            if old is not None:
                self._retire(old)
        return None

    async def _start(self) -> tuple[WorkerProcess, ModelFacts]:
        """A worker that is ready. Raises NotOpenedError."""
        began = _now()
        worker = WorkerProcess(self._settings, self._suspects, self._note_batch, self._note_end)
        facts = await worker.open()
        self._opening_seconds = _now() - began
        if worker.ended.is_set():
            raise NotOpenedError(self.name, f"the process of model {self.source!r} {worker.ending()}")
        budget, takes = self._settings.model.memory_budget, worker.memory()
        if budget is not None and takes > budget:
            await worker.close()
            sentence = (
                f"the model {self.name!r} takes {takes / 2**20:,.0f} MiB, more than the budget of"
                f" {budget / 2**20:,.0f} MiB; raise the budget or serve a smaller model"
            )
            raise NotOpenedError(self.name, sentence, told=sentence)
        return worker, facts

    def _use(self, worker: WorkerProcess, facts: ModelFacts) -> None:
        orders, self._waiting = self._waiting, []
        if self._worker is not None:
            orders += self._worker.take_unbegun()
        self._worker, self._facts, self._opened_at = worker, facts, _now()
        self._not_opened, self._refused_until = None, 0.0
        for order in orders:
            try:
                self._check_kind(order, worker)
            except RejectionError as error:
                order.refuse(error)
            else:
                worker.submit(order)
        self._on_opened()

    def _check_kind(self, order: Order, worker: WorkerProcess) -> None:
        if order.kind == "text" and not worker.reads_texts:
            raise RejectionError(
                422,
                "invalid_request",
                f"the model {self.name!r} came without a tokenizer: it embeds pictures, but no texts",
                param="model",
            )

    def _retire(self, worker: WorkerProcess) -> None:
        """Ends a worker once it has answered what it holds."""
        self._retired.add(worker)

        async def end() -> None:
            while worker.items and not worker.ended.is_set():
                await asyncio.sleep(0.02)
            await worker.close()
            self._retired.discard(worker)

        task = asyncio.create_task(end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _note_batch(self, kind: str, items: int, seconds: float) -> None:
        self._metrics.batch_ran(self.name, kind, items)
        pace = seconds / items
        self._pace[kind] = 0.8 * self._pace.get(kind, pace) + 0.2 * pace

    def _note_end(self, worker: WorkerProcess) -> None:
        """A worker ended by itself."""
        logger.error("the worker of %s %s", self.name, worker.ending())
        begun, unbegun = worker.take_begun(), []
        for order in list(begun):
            if not order.taken:
                begun.remove(order)
                unbegun.append(order)
        wait = 0.0
        self._retired.discard(worker)
        if worker is self._worker:
            self._worker = None
            self._metrics.worker_restarted(self.name)
            if _now() - self._opened_at > SOUND_SECONDS:
                self._in_a_row = 0
            wait = self._pause(first=0.0)
            self._refused_until = _now() + wait
        for order in begun:
            order.refuse(self._restarting(wait + self._opening_seconds))
        if self._worker is not None:
            for order in unbegun:
                self._worker.submit(order)
            return
        self._waiting += unbegun
        if not self._closed:
            self._open_soon()

    def _pause(self, first: float = _FIRST_PAUSE) -> float:
        """Seconds until the next try, longer each time."""
        self._in_a_row += 1
        if self._in_a_row == 1:
            return first
        return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (self._in_a_row - 2))

    def _raise_refusal(self) -> None:
        if self._worker is None and _now() < self._refused_until:
            raise self._unavailable() if self._not_opened else self._restarting(self._refused_until - _now())

    def _unavailable(self) -> RejectionError:
        retry = max(1.0, self._refused_until - _now())
        return RejectionError(
            503, "model_unavailable", self._not_opened or "the model is not open", retry_after=math.ceil(retry)
        )

    def _restarting(self, seconds: float) -> RejectionError:
        return RejectionError(
            503,
            "worker_restarting",
            f"the process of the model {self.name!r} died and is started again; try again",
            retry_after=math.ceil(max(1.0, seconds)),
        )


FileStamp = tuple[str, int, int, int]
"""Name, inode, bytes, and nanoseconds of the last change."""


def file_stamps(source: str) -> tuple[FileStamp, ...]:
    """What tells whether a model on disk has changed; nothing for one in the package or on the hub."""
    parts, _ = split_name(source)
    return tuple(stamp for part in parts if part != STARTER for stamp in _stamps(Path(part)))


def _stamps(path: Path) -> tuple[FileStamp, ...]:
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        stats = [(file.name, file.stat()) for file in files if file.is_file()]
    except OSError:
        return ()
    return tuple((name, stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def public_name(source: str) -> str:
    """What clients call a model: of a file or folder its name, for where it lies is nobody's business."""
    parts, which = split_name(source)
    return "+".join(map(_last_part, parts)) + (f":{_last_part(which)}" if which else "")


def _last_part(name: str) -> str:
    path = Path(name)
    if name == STARTER or not path.exists():
        return name
    path = path.resolve()
    return path.stem if path.is_file() else path.name


def _now() -> float:
    return asyncio.get_running_loop().time()
