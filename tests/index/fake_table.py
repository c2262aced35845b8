"""A table of vectors that one can read, for tests of ranking."""

from __future__ import annotations

import numpy as np

from clipwright.index.dot_products import products_of_few
from clipwright.index.ranking import Sample
from clipwright.tasks.relevance import background_statistics, collection_statistics


class FakeTable:
    """Vectors in memory, searched exactly. Remembers how many rows were looked at together."""

    def __init__(self, vectors: np.ndarray, captions: np.ndarray, ids: np.ndarray | None = None) -> None:
        self.vectors = np.asarray(vectors, np.float32)
        self.ids = np.arange(1, len(vectors) + 1) if ids is None else ids
        self.captions = captions
        self.most_rows = 0
        self.asked_exactly = False

    @property
    def sample(self) -> Sample:
        indices = np.arange(min(len(self.vectors), 4096))
        vectors = self.vectors[indices]
        return Sample(indices, vectors, collection_statistics(vectors, self.background(indices)))

    def nearest(
        self, vector: np.ndarray, count: int, among: np.ndarray | None = None, *, exact: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        self.asked_exactly = exact
        rows = np.arange(len(self.vectors)) if among is None else np.flatnonzero(among)
        similarities = products_of_few(vector[None], self.vectors[rows])[0]
        order = np.argsort(-similarities)[:count]
        return rows[order], similarities[order]

    def similarities(self, vectors: np.ndarray, indices: np.ndarray | None = None) -> np.ndarray:
        rows = self.vectors if indices is None else self.vectors[indices]
        self.most_rows = max(self.most_rows, len(rows))
        return products_of_few(np.asarray(vectors, np.float32), rows)

    def background(self, indices: np.ndarray | None) -> np.ndarray:
        return background_statistics(self.vectors if indices is None else self.vectors[indices], self.captions)
