"""For a process that embeds a few texts and ends, as a search does: no runtime is started for them."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.embedding.backend import Backend, BackendName, Precision
from clipwright.graph.builder import Graph
from clipwright.graph.interpreter import run_graph
from clipwright.graph.towers import TEXT_INPUTS, text_graph


class FewTextsBackend:
    """Texts straight from the weights, in fp32; pictures on a backend that is opened when the first one comes."""

    precision: Precision = "fp32"

    def __init__(self, checkpoint: Checkpoint, name: BackendName, open_images: Callable[[], Backend]) -> None:
        """name: of the backend that open_images gives."""
        self.name: BackendName = name
        self._checkpoint = checkpoint
        self._images = functools.cache(open_images)

    def image_features(self, pixels: np.ndarray) -> np.ndarray:
        return self._images().image_features(pixels)

    def text_features(self, ids: np.ndarray, ends: np.ndarray) -> np.ndarray:
        if not len(ids):
            return np.zeros((0, self._checkpoint.config.embed_dim), np.float32)
        return run_graph(self._texts, dict(zip(TEXT_INPUTS, (ids, ends), strict=True)))

    @functools.cached_property
    def _texts(self) -> Graph:
        return text_graph(self._checkpoint.config, self._checkpoint.weights)
