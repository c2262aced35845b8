"""The models of a server: what routes ask for vectors."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from clipwright.errors import ClipwrightError, Failure
from clipwright.server.metrics import Metrics
from clipwright.server.models.frames import LARGEST_PAYLOAD
from clipwright.server.models.model_facts import ModelFacts
from clipwright.server.models.orders import Order, OrderKind
from clipwright.server.models.served_model import ServedModel
from clipwright.server.models.text_memory import KnownText, TextMemory
from clipwright.server.models.worker_process import NotOpenedError
from clipwright.server.rejection import ItemFault, RejectionError
from clipwright.server.settings import Limits, ModelSettings

__all__ = ["ModelFacts", "ModelPool", "TextVectors"]

LOOK_SECONDS = 3.0
"""How often it is looked what the models take in memory, and whether their files have changed."""
_CHECKED_TEXT = "ready"
Result = TypeVar("Result")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextVectors:
    """Embedded texts."""

    vectors: np.ndarray
    """(N, D) float32, unit rows."""
    tokens: tuple[int, ...]
    """How many tokens of each text were read."""
    dropped: tuple[int, ...]
    """How many tokens of each were beyond the context."""


@dataclass
class SharedRun:
    """What several calls wait for; cancelled with the last of them."""

    task: asyncio.Task[Order]
    waiting: int = 0


class ModelPool:
    """The models. All methods are called from the event loop's thread.

    deadline is a moment of the event loop's clock. Every method that computes raises RejectionError: 404
    unknown_model, 429 overloaded with retry_after, 503 deadline_exceeded, worker_restarting, model_unavailable or
    shutting_down, and 422 for texts that a model cannot embed. A caller that is cancelled takes what it asked for out
    of the queue.
    """

    def __init__(self, names: Sequence[str], settings: ModelSettings, limits: Limits, metrics: Metrics) -> None:
        self._sources, self._settings, self._limits, self._metrics = tuple(names), settings, limits, metrics
        self._models: dict[str, ServedModel] = {}
        self._remembered = TextMemory()
        self._shared: dict[tuple[str, ...], SharedRun] = {}
        self._looking: asyncio.Task[None] | None = None
        self._closing = False
        self.started = int(time.time())
        """In seconds of the epoch."""

    @property
    def names(self) -> tuple[str, ...]:
        """The models as clients call them, the default one first."""
        return tuple(self._models)

    async def start(self) -> None:
        """Opens the first model. Raises ClipwrightError where it cannot be."""
        for source in self._sources:
            pixels = self._limits.picture_pixels
            model = ServedModel(source, self._settings, pixels, self._metrics, self._keep_budget)
            if model.name in self._models:
                raise ClipwrightError(f"two models are called {model.name!r}; rename a file or folder of theirs")
            self._models[model.name] = model
        self._looking = asyncio.create_task(self._look())
        try:
            await self._model(None).facts()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finishes what was accepted, within drain_seconds, and ends the workers."""
        self._closing = True
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        await asyncio.gather(*(model.close(self._limits.drain_seconds) for model in self._models.values()))

    async def facts(self, model: str | None = None) -> ModelFacts:
        """A model's facts, the default one's for None; opens it where it was never open."""
        return await self._facts(self._model(model))

    def known_facts(self, model: str) -> ModelFacts | None:
        """A model's facts; None where it was never open."""
        return self._model(model).known_facts

    def is_open(self, model: str) -> bool:
        """Whether a process runs this model now."""
        return self._model(model).is_open

    async def embed_texts(
        self, model: str | None, texts: Sequence[str], deadline: float, *, remembered: bool = False
    ) -> TextVectors:
        """remembered: labels and queries, which come again; their vectors are kept for a while."""
        served = self._model(model)
        while True:
            facts = await self._facts_by(served, deadline)
            space = f"{facts.space_id} {facts.variant}"
            known: dict[str, KnownText] = {}
            if remembered:
                known = {text: found for text in texts if (found := self._remembered.get(space, text)) is not None}
            missing = [text for text in dict.fromkeys(texts) if text not in known]
            if missing:
                order = await (self._share if remembered else self._run)(served, "text", missing, deadline)
                results = dict(zip(missing, order.answered.result(), strict=True))
                _check_texts(texts, results)
                if order.space != space and known:
                    continue  # the model was reloaded meanwhile: what was remembered is another's
                for text, result in results.items():
                    known[text] = KnownText(*result)
                    if remembered:
                        self._remembered.keep(order.space, text, known[text])
            rows = [known[text] for text in texts]
            vectors = np.stack([row.vector for row in rows]) if rows else np.zeros((0, facts.embed_dim), np.float32)
            return TextVectors(vectors, tuple(row.tokens for row in rows), tuple(row.dropped for row in rows))

    async def embed_pictures(
        self, model: str | None, pictures: Sequence[bytes], deadline: float
    ) -> list[np.ndarray | Failure]:
        """For each encoded picture its (D,) float32 unit vector, or why it has none; source is its place among them."""
        served = self._model(model)
        if any(len(picture) > LARGEST_PAYLOAD for picture in pictures):
            raise RejectionError(413, "body_too_large", f"a picture has more than {LARGEST_PAYLOAD:,} bytes")
        if not pictures:
            return []
        return (await self._run(served, "picture", pictures, deadline)).answered.result()

    async def render(self, path: Path, side: int, deadline: float) -> bytes | Failure:
        """A picture's file as an upright JPEG no larger than side x side; to be called with files of the index only."""
        order = await self._run(self._model(None), "render", [(path, side)], deadline)
        rendered: bytes | Failure = order.answered.result()[0]
        return rendered

    async def check(self, deadline: float) -> None:
        """Embeds with the default model for real. Raises RejectionError 503 where that fails."""
        served = self._model(None)
        served.check()
        await self._run(served, "text", [_CHECKED_TEXT], deadline, admitted=True)

    async def reload(self, model: str) -> ModelFacts:
        """Opens a model anew, from what is on disk now; requests are answered by the old one until it is ready.

        Raises RejectionError: 503 model_unavailable where it cannot be opened; then the old one goes on.
        """
        served = self._model(model)
        try:
            await served.reload()
        except NotOpenedError as error:
            raise RejectionError(503, "model_unavailable", error.told, retry_after=5) from error
        return await self._facts(served)

    async def consistently(self, model: str | None, compute: Callable[[ModelFacts], Awaitable[Result]]) -> Result:
        """What compute gives, called again where the model was reloaded to another one meanwhile.

        For callers that ask for vectors twice and compare them: vectors of different spaces may not be.
        """
        while True:
            before = await self.facts(model)
            result = await compute(before)
            if (await self.facts(model)).space_id == before.space_id:
                return result

    def _model(self, name: str | None) -> ServedModel:
        if name is None:
            return next(iter(self._models.values()))
        served = self._models.get(name)
        if served is None:
            raise RejectionError(404, "unknown_model", f"no model {name[:200]!r} is served here", param="model")
        return served

    async def _facts(self, served: ServedModel) -> ModelFacts:
        try:
            return await served.facts()
        except NotOpenedError as error:
            raise RejectionError(503, "model_unavailable", error.told, retry_after=5) from error

    async def _facts_by(self, served: ServedModel, deadline: float) -> ModelFacts:
        if served.known_facts is not None:
            return served.known_facts
        try:
            async with asyncio.timeout_at(deadline):
                return await self._facts(served)
        except TimeoutError:
            raise self._too_late(served) from None

    async def _run(
        self,
        served: ServedModel,
        kind: OrderKind,
        items: Sequence[Any],
        deadline: float | None,
        *,
        admitted: bool = False,
    ) -> Order:
        """An order whose items were all answered. deadline: None, where the caller sees to it. admitted: whether there
        is room in the queue or not."""
        if self._closing:
            raise RejectionError(503, "shutting_down", "the server is being shut down", retry_after=5)
        if not admitted:
            self._admit()
        order = Order(kind, items, asyncio.get_running_loop().create_future())
        served.submit(order)
        try:
            async with asyncio.timeout_at(deadline):
                await order.answered
        except TimeoutError:
            raise self._too_late(served) from None
        finally:
            if order.answered.cancelled():
                served.withdraw(order)
        return order

    async def _share(self, served: ServedModel, kind: OrderKind, texts: Sequence[str], deadline: float) -> Order:
        """As _run, but once for all that ask for the same texts at the same time: many clients have the same labels."""
        key = (served.name, *texts)
        shared = self._shared.get(key)
        if shared is None:
            shared = SharedRun(asyncio.create_task(self._run(served, kind, texts, None)))
            self._shared[key] = shared
        shared.waiting += 1
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.wait([shared.task])
        except TimeoutError:
            raise self._too_late(served) from None
        finally:
            shared.waiting -= 1
            if shared.task.done() or not shared.waiting:
                shared.task.cancel()
                if self._shared.get(key) is shared:
                    del self._shared[key]
        return shared.task.result()

    def _admit(self) -> None:
        """Raises RejectionError, 429, where the queue has no room. The last order let in may go beyond it."""
        queued = sum(model.items for model in self._models.values())
        if queued >= self._limits.queue_items:
            raise RejectionError(
                429,
                "overloaded",
                f"{queued:,} pictures and texts wait already; try again later",
                retry_after=math.ceil(max(1.0, self._backlog_seconds())),
            )

    def _backlog_seconds(self) -> float:
        return max(model.backlog_seconds() for model in self._models.values())

    def _too_late(self, served: ServedModel) -> RejectionError:
        return RejectionError(
            503,
            "deadline_exceeded",
            "the request could not be answered in time; try again later",
            retry_after=math.ceil(max(1.0, served.backlog_seconds())),
        )

    async def _look(self) -> None:
        """Looks every few seconds what the models take, and whether their files have changed."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                self._keep_budget()
                for model in self._models.values():
                    await model.reload_if_changed()
            except Exception:
                logger.exception("looking after the models failed; it is tried again")

    def _keep_budget(self) -> None:
        """Closes idle models, the least recently used first, until the others fit into the memory budget."""
        taken = {name: model.memory() for name, model in self._models.items()}
        for name, memory in taken.items():
            self._metrics.worker_memory(name, memory)
        budget = self._settings.memory_budget
        if budget is None:
            return
        idle = [model for model in self._models.values() if model.is_open and not model.items]
        latest = max(self._models.values(), key=lambda model: model.used)
        for model in sorted(idle, key=lambda model: model.used):
            if sum(taken.values()) <= budget:
                return
            if model is latest:
                continue
            logger.warning("the model %s is closed: the models take more than the memory budget", model.name)
            model.evict()
            taken[model.name] = 0


def _check_texts(texts: Sequence[str], results: dict[str, Any]) -> None:
    """Raises RejectionError, 422, where a text has no vector."""
    faults = [
        ItemFault(number, result.code, result.message)
        for number, text in enumerate(texts)
        if isinstance(result := results.get(text), Failure)
    ]
    if faults:
        raise RejectionError.of_items(faults)
