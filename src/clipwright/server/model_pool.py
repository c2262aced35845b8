"""The models of a server: what routes ask for vectors."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clipwright.embedding.embedder import Embedder
from clipwright.embedding.load import load_embedder
from clipwright.errors import Failure
from clipwright.inputs.input_spec import InputSpec
from clipwright.server.metrics import Metrics
from clipwright.server.rejection import RejectionError
from clipwright.server.settings import Limits, ModelSettings


@dataclass(frozen=True)
class ModelFacts:
    """A model that is served."""

    name: str
    """As requests and answers call it."""
    space_id: str
    embed_dim: int
    scale: float
    bias: float | None
    """As Embedder has them: what label_probabilities takes."""
    spec: InputSpec
    variant: str
    backend: str


@dataclass(frozen=True)
class TextVectors:
    """Embedded texts."""

    vectors: np.ndarray
    """(N, D) float32, unit rows."""
    tokens: tuple[int, ...]
    """How many tokens of each text were read."""
    dropped: tuple[int, ...]
    """How many tokens of each were beyond the context."""


class ModelPool:
    """The models. All methods are called from the event loop's thread.

    deadline is a moment of the event loop's clock. Every method that computes raises RejectionError: 404
    unknown_model, 429 overloaded with retry_after, 503 deadline_exceeded, worker_restarting or model_unavailable. A
    caller that is cancelled takes what it asked for out of the queue.
    """

    def __init__(self, names: Sequence[str], settings: ModelSettings, limits: Limits, metrics: Metrics) -> None:
        self._names, self._settings, self._limits, self._metrics = tuple(names), settings, limits, metrics
        self._embedders: dict[str, Embedder] = {}

    async def start(self) -> None:
        """Opens the first model. Raises ClipwrightError where it cannot be."""
        for name in self._names:
            self._embedders[name] = await asyncio.to_thread(
                load_embedder,
                name,
                threads=self._settings.threads,
                pixels=self._settings.pixels,
                backend=self._settings.backend,
                precision=self._settings.precision,
            )

    async def close(self) -> None:
        """Finishes what was accepted and ends the workers."""

    async def facts(self, model: str | None = None) -> ModelFacts:
        """A model's facts, the default one's for None; opens it where it is not open."""
        embedder = self._embedder(model)
        return ModelFacts(
            embedder.name,
            embedder.space_id,
            embedder.embed_dim,
            embedder.scale,
            embedder.bias,
            embedder.spec,
            embedder.variant,
            embedder.backend,
        )

    async def embed_texts(
        self, model: str | None, texts: Sequence[str], deadline: float, *, remembered: bool = False
    ) -> TextVectors:
        """remembered: labels and queries, which come again; their vectors are kept for a while."""
        vectors = await asyncio.to_thread(self._embedder(model).embed_texts, texts)
        return TextVectors(vectors, (0,) * len(texts), (0,) * len(texts))

    async def embed_pictures(
        self, model: str | None, pictures: Sequence[bytes], deadline: float
    ) -> list[np.ndarray | Failure]:
        """For each encoded picture its (D,) float32 unit vector, or why it has none; source is its place among them."""
        embedder = self._embedder(model)

        def run() -> list[np.ndarray | Failure]:
            return [result for _, result in embedder.stream_images(pictures)]

        return await asyncio.to_thread(run)

    async def render(self, path: Path, side: int, deadline: float) -> bytes | Failure:
        """A picture's file as an upright JPEG no larger than side x side; to be called with files of the index only."""
        raise NotImplementedError

    async def check(self, deadline: float) -> None:
        """Embeds a text with the default model for real. Raises RejectionError 503 where that fails."""
        await self.embed_texts(None, ["ready"], deadline)

    def _embedder(self, model: str | None) -> Embedder:
        name = self._names[0] if model is None else model
        if name not in self._embedders:
            raise RejectionError(404, "unknown_model", f"no model {name!r} is served here", param="model")
        return self._embedders[name]
