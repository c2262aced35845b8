"""A worker as its server sees it: one process that runs a model, from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil

from clipwright.errors import ClipwrightError, Failure
from clipwright.inputs.input_spec import InputSpec
from clipwright.server.models.frames import Frame, FrameError, frame_head, receive_frame
from clipwright.server.models.model_facts import ModelFacts
from clipwright.server.models.orders import Order, OrderKind, Turns
from clipwright.server.models.suspects import Suspects
from clipwright.server.models.worker_settings import WorkerSettings

COMMAND = (sys.executable, "-P", "-m", "clipwright.server.models.worker")
PING_SECONDS = 5.0
HUNG_SECONDS = 30.0
"""A worker that leaves pings unanswered for so long is killed."""
LONGEST_JOB = 180.0
"""Seconds after which one picture, or one batch, will never end."""
_ENDING_SECONDS = 5.0
_BATCHES_AHEAD = 4
"""How many full batches a worker holds: enough to decode while it computes, few enough to lose little with it."""
_RENDERS_AHEAD = 8
_BYTES_AHEAD = 128 * 2**20
"""Of encoded pictures that a worker holds, unless it is a single one."""
_TEXTS_BYTES = 2**20
"""Of texts in one frame."""
_KINDS: tuple[OrderKind, ...] = ("text", "render", "picture")
logger = logging.getLogger(__name__)


class NotOpenedError(ClipwrightError):
    """A model could not be opened. The message is for who runs the server: it may name paths; told is for clients."""

    def __init__(self, name: str, message: str, told: str | None = None) -> None:
        super().__init__(message)
        self.told = told or f"the model {name!r} cannot be opened; the server's log says why"


class WorkerProcess:
    """What is asked of one process waits here, and goes to it a few batches ahead. Belongs to one event loop."""

    def __init__(
        self,
        settings: WorkerSettings,
        suspects: Suspects,
        on_batch: Callable[[str, int, float], None],
        on_end: Callable[[WorkerProcess], None],
    ) -> None:
        """on_batch is told kind, items and seconds of each batch; on_end is called when an opened worker has ended."""
        self._settings, self._suspects, self._on_batch, self._on_end = settings, suspects, on_batch, on_end
        self._process: asyncio.subprocess.Process | None = None
        self._turns = {kind: Turns() for kind in _KINDS}
        self._held: dict[int, tuple[Order, int]] = {}
        self._held_of: Counter[OrderKind] = Counter()
        self._held_bytes = 0
        self._suspect: tuple[Order, int] | None = None
        """A picture that waits until it can be given alone."""
        self._alone: int | None = None
        """The id under which the process has such a picture."""
        self._last_id = 0
        self._room = {
            "picture": _BATCHES_AHEAD * settings.model.batch_size,
            "text": _BATCHES_AHEAD * settings.model.text_batch_size,
            "render": _RENDERS_AHEAD,
        }
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._opened: asyncio.Future[ModelFacts] = asyncio.get_running_loop().create_future()
        self._is_open = False
        """Whether the process has said so."""
        self._answered_ping: float | None = None
        """When, on the event loop's clock; at first there is much to import, and nothing is answered."""
        self.ended = asyncio.Event()
        self.reads_texts = True
        self.space = ""
        """Names model and variant, as Order.space."""

    async def open(self) -> ModelFacts:
        """Starts the process and opens the model. Raises NotOpenedError; then, and if cancelled, the process ends."""
        environment = {"MALLOC_ARENA_MAX": "2", **os.environ}  # else each thread keeps memory of its own
        try:
            self._process = await asyncio.create_subprocess_exec(
                *COMMAND,
                self._settings.dump(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=environment,
            )
        except OSError as error:  # the machine has no room for another process, or no files
            raise NotOpenedError(self._settings.name, f"no process can be started: {error.strerror}") from error
        self._tasks = [asyncio.create_task(run()) for run in (self._receive, self._send, self._ping)]
        try:
            return await self._opened
        except BaseException:
            self.kill()
            await self.ended.wait()
            raise

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def load(self) -> Counter[OrderKind]:
        """Items by kind that wait or are in the process."""
        waiting = Counter({kind: turns.items for kind, turns in self._turns.items()})
        waiting["picture"] += self._suspect is not None
        return self._held_of + waiting

    @property
    def items(self) -> int:
        """How many wait or are in the process."""
        waiting = sum(turns.items for turns in self._turns.values())
        return len(self._held) + waiting + (self._suspect is not None)

    def memory(self) -> int:
        """Resident bytes of the process; 0 where it has ended."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def submit(self, order: Order) -> None:
        self._turns[order.kind].add(order)
        self._wake.set()

    def withdraw(self, order: Order) -> None:
        """Takes an order's items out, here and in the process, as far as they are not being computed."""
        self._turns[order.kind].remove(order)
        held = [key for key, (other, _) in self._held.items() if other is order]
        if held and order.kind != "render":
            self._write(Frame({"type": "withdraw", "ids": held}))

    def take_unbegun(self) -> list[Order]:
        """The orders of which the process has nothing yet; they are here no longer."""
        unbegun = []
        for turns in self._turns.values():
            for order in turns.take_all():
                if order.taken:
                    turns.add(order)
                else:
                    unbegun.append(order)
        return unbegun

    def take_begun(self) -> list[Order]:
        """The orders that an ended process leaves undone; they are here no longer."""
        pictures = [order.items[number] for order, number in self._held.values() if order.kind == "picture"]
        alone = self._held.get(self._alone or 0)
        self._suspects.died_with(pictures, alone and alone[0].items[alone[1]])
        begun = {id(order): order for order, _ in self._held.values()}
        if self._suspect is not None:
            begun[id(self._suspect[0])], self._suspect = self._suspect[0], None
        for turns in self._turns.values():
            begun |= {id(order): order for order in turns.take_all()}
        self._held.clear()
        self._held_of.clear()
        self._held_bytes = 0
        return list(begun.values())

    def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def close(self) -> None:
        """Ends the process."""
        if self._process is None:
            return
        self._on_end = lambda _: None
        self._stdin.close()
        try:
            async with asyncio.timeout(_ENDING_SECONDS):
                await self.ended.wait()
        except TimeoutError:
            self.kill()
            await self.ended.wait()

    def ending(self) -> str:
        """How the process ended, in words."""
        status = None if self._process is None else self._process.returncode
        if status is None or status >= 0:
            return f"ended with status {status}"
        return f"was ended by {signal.Signals(-status).name}"

    async def _receive(self) -> None:
        """Takes answers until there are none any more."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        try:
            while (frame := await receive_frame(process.stdout)) is not None:
                self._take(frame)
        except Exception as error:  # whatever it sent: it has decoded strangers' pictures, and is not trusted
            logger.error("the worker of %s answers nonsense (%r); it is killed", self._settings.name, error)
            self.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ENDING_SECONDS):  # it ends by itself; signalled now, its status could be lost
                await process.wait()
        self.kill()
        await process.wait()
        for task in self._tasks[1:]:
            task.cancel()
        self.ended.set()
        if self._is_open:
            self._on_end(self)
        elif not self._opened.done():
            self._opened.set_exception(
                NotOpenedError(
                    self._settings.name, f"the process that opened model {self._settings.source!r} {self.ending()}"
                )
            )

    def _take(self, frame: Frame) -> None:
        header = frame.header
        match header["type"]:
            case "vectors":
                self._take_vectors(header, frame.payload)
            case "failures":
                for key, code, message in header["items"]:
                    self._settle(key, Failure(self._held[key][1], code, message))
            case "rendered":
                self._settle(header["id"], frame.payload)
            case "withdrawn":
                for key in header["ids"]:
                    self._release(key)
            case "pong":
                self._answered_ping = asyncio.get_running_loop().time()
                if header["longest"] > LONGEST_JOB:
                    logger.error("the worker of %s has hung for %d s", self._settings.name, header["longest"])
                    self.kill()
            case "opened" | "refused" if self._opened.cancelled():
                pass  # nobody waits for it any more, and it is being ended
            case "opened":
                facts = self._facts(header["facts"])
                self.space, self.reads_texts = f"{facts.space_id} {facts.variant}", bool(header["reads_texts"])
                self._opened.set_result(facts)
                self._is_open = True
            case "refused":
                self._opened.set_exception(NotOpenedError(self._settings.name, str(header["sentence"])))
            case other:
                raise FrameError(f"unknown frame {other!r}")

    def _take_vectors(self, header: dict[str, Any], payload: bytes) -> None:
        keys = header["ids"]
        if keys:
            rows = np.frombuffer(payload, np.float32).reshape(len(keys), -1)
            results: list[Any] = list(rows)
            if header["kind"] == "text":
                results = list(zip(rows, header["tokens"], header["dropped"], strict=True))
            for key, result in zip(keys, results, strict=True):
                self._settle(key, result)
        self._on_batch(header["kind"], header["batch"], header["seconds"])

    def _facts(self, stored: dict[str, Any]) -> ModelFacts:
        spec: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in stored["spec"].items()
        }
        return ModelFacts(**{**stored, "name": self._settings.name, "spec": InputSpec(**spec)})

    def _release(self, key: int) -> tuple[Order, int]:
        """The item that the process holds no longer."""
        order, number = self._held.pop(key)
        self._held_of[order.kind] -= 1
        if order.kind == "picture":
            self._held_bytes -= len(order.items[number])
        if key == self._alone:
            self._alone = None
        self._wake.set()
        return order, number

    def _settle(self, key: int, result: Any) -> None:
        survived = key == self._alone
        order, number = self._release(key)
        order.settle(number, result)
        if survived:
            self._suspects.survived(order.items[number])

    def _hold(self, order: Order, number: int) -> int:
        self._last_id += 1
        self._held[self._last_id] = order, number
        self._held_of[order.kind] += 1
        if order.kind == "picture":
            self._held_bytes += len(order.items[number])
        order.space = self.space
        return self._last_id

    async def _send(self) -> None:
        """Gives the process what it has room for."""
        await asyncio.wait([self._opened])
        with contextlib.suppress(OSError):  # the process has ended; _receive sees to that
            while True:
                frame = self._next_texts() or self._next_render() or self._next_picture()
                if frame is None:
                    self._wake.clear()
                    await self._wake.wait()
                else:
                    self._write(frame)
                    await self._stdin.drain()

    def _next_texts(self) -> Frame | None:
        keys: list[int] = []
        texts: list[str] = []
        size = 0
        while self._held_of["text"] < self._room["text"] and size < _TEXTS_BYTES:
            item = self._turns["text"].next()
            if item is None:
                break
            keys.append(self._hold(*item))
            texts.append(item[0].items[item[1]])
            size += len(texts[-1])
        return Frame({"type": "texts", "ids": keys}, json.dumps(texts).encode()) if keys else None

    def _next_render(self) -> Frame | None:
        item = self._turns["render"].next() if self._held_of["render"] < self._room["render"] else None
        if item is None:
            return None
        path, side = item[0].items[item[1]]
        return Frame({"type": "render", "id": self._hold(*item), "path": str(path), "side": side})

    def _next_picture(self) -> Frame | None:
        held = self._held_of["picture"]
        if held >= self._room["picture"] or self._held_bytes > _BYTES_AHEAD or self._alone is not None:
            return None
        item, self._suspect = self._suspect, None
        if item is None or not item[0].wanted:
            item = self._next_innocent()
        if item is None:
            return None
        order, number = item
        picture = order.items[number]
        is_suspect = self._suspects.is_suspect(picture)
        if is_suspect and held:
            self._suspect = item
            return None
        key = self._hold(order, number)
        self._alone = key if is_suspect else None
        return Frame({"type": "picture", "id": key}, picture)

    def _next_innocent(self) -> tuple[Order, int] | None:
        """The next picture that may be decoded at all."""
        while (item := self._turns["picture"].next()) is not None:
            order, number = item
            if not self._suspects.is_guilty(order.items[number]):
                return item
            order.settle(number, Failure(number, "unreadable", "a process ended each time it opened this picture"))
        return None

    def _write(self, frame: Frame) -> None:
        if not self._stdin.is_closing():
            self._stdin.writelines([frame_head(frame), frame.payload])

    @property
    def _stdin(self) -> asyncio.StreamWriter:
        assert self._process is not None
        assert self._process.stdin is not None
        return self._process.stdin

    async def _ping(self) -> None:
        """Kills a process that does not answer."""
        while True:
            self._write(Frame({"type": "ping"}))
            await asyncio.sleep(PING_SECONDS)
            answered = self._answered_ping
            if answered is not None and asyncio.get_running_loop().time() - answered > HUNG_SECONDS:
                logger.error("the worker of %s does not answer; it is killed", self._settings.name)
                self.kill()
