"""The vectors of an index, ready to be searched: nearest photographs, similarities, filters."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from clipwright.errors import DimensionError
from clipwright.index.derived import Derived, open_derived
from clipwright.index.dot_products import dot_products, integer_dot_products
from clipwright.index.filters import Filters
from clipwright.index.ranking import Sample
from clipwright.tasks.relevance import collection_statistics

CANDIDATES = 1000
"""Whatever is asked for, at least so many are found and put in order first."""
_SAMPLE_ROWS = 4096
_GATHERED_ROWS = 32_768
"""Up to so many photographs that filters keep are compared exactly, wherever they lie."""
_COMPARED_ROWS = 3072
"""Of how many photographs, those with the nearest sketches, the vectors are compared."""
_HEADS_SHARE = 32
"""Tails of sketches are read of this part of the photographs, those with the nearest heads."""
_THRESHOLD_ROWS = 16_384
"""Of how many values a threshold for all is made."""


class VectorTable:
    """One embedding space of an index, as it was when it was opened: N photographs.

    Photographs are named by their index in ids, 0 to N - 1. Several processes may have the same table open while one
    indexes.
    """

    def __init__(self, derived: Derived) -> None:
        self._derived = derived
        self._segments = derived.segments
        self._starts = np.cumsum([0, *(len(segment.ids) for segment in self._segments)])
        """Of segments. A photograph's place counts through them; some places are hidden."""
        self._live = self._places_that_live()
        """(N,) int64: the place of each index; None where they are the same."""
        self.ids = self._of_all([segment.ids for segment in self._segments])
        """(N,) int64: photo ids. Removed photographs are not among them."""

    @classmethod
    def open(cls, database: Path, space_id: str) -> VectorTable:
        """The table of a space as the database has it now.

        Raises IndexFileError where the database has no such space, or cannot be read.
        """
        return cls(open_derived(database, space_id))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def embed_dim(self) -> int:
        return self._derived.embed_dim

    def rows(self, indices: np.ndarray) -> np.ndarray:
        """(R, D) float32: vectors of photographs."""
        vectors = [segment.vectors for segment in self._segments]
        return self._gathered(self._places(indices), vectors).astype(np.float32)

    def sample_indices(self) -> np.ndarray:
        """(S,) int64: up to 4,096 photographs spread over the collection, the same at each call: for statistics."""
        return np.unique(np.linspace(0, len(self) - 1, min(_SAMPLE_ROWS, len(self))).astype(np.int64))

    @functools.cached_property
    def sample(self) -> Sample:
        """Those of sample_indices, for ranking. Not to be asked of an empty table."""
        indices = self.sample_indices()
        vectors = self.rows(indices)
        return Sample(indices, vectors, collection_statistics(vectors, self.background(indices)))

    def index_of(self, photo: int) -> int | None:
        """Where a photograph (its id) is in ids."""
        found = np.flatnonzero(self.ids == photo)
        return int(found[0]) if len(found) else None

    @property
    def taken(self) -> np.ndarray:
        """(N,) float64: when photographs were taken, as in PhotoFacts; NaN: not known."""
        return self._of_all([segment.columns.taken for segment in self._segments])

    @property
    def places(self) -> np.ndarray:
        """(N, 3) float64: where photographs were taken, as points on the unit sphere (columns.py); NaN: not known."""
        return self._of_all([segment.columns.place for segment in self._segments])

    @property
    def cameras(self) -> tuple[np.ndarray, tuple[str, ...]]:
        """(N,) int32 rows of names, -1 where none is known, and the names."""
        names: dict[str, int] = {}
        of_segments = []
        for segment in self._segments:
            known = [names.setdefault(name, len(names)) for name in segment.columns.cameras]
            of_segments.append(np.array([*known, -1], np.int32)[segment.columns.camera])  # the last is for -1
        return self._of_all(of_segments), tuple(names)

    def background(self, indices: np.ndarray | None = None) -> np.ndarray:
        """(R, K) float32: tasks.relevance.background_statistics of photographs, or of all."""
        statistics = [segment.background for segment in self._segments]
        return self._of_all(statistics) if indices is None else self._gathered(self._places(indices), statistics)

    def matching(self, filters: Filters) -> np.ndarray | None:
        """(N,) bool: which photographs are what the filters ask for; None: all.

        Raises QueryError where the glob is none.
        """
        if filters == Filters():
            return None
        return self._of_all([segment.columns.matching(filters) for segment in self._segments])

    def similarities(self, vectors: np.ndarray, indices: np.ndarray | None = None) -> np.ndarray:
        """(L, R) float32: cosines of vectors (L, D), unit rows, to photographs, or to all; exact."""
        vectors = self._checked(vectors)
        if indices is not None:
            stored = [segment.vectors for segment in self._segments]
            products = np.empty((len(indices), len(vectors)), np.float32)
            for array, here, rows in self._chosen(self._places(indices), stored):
                products[here] = dot_products(array, vectors, rows).T
            return products.T
        return self._of_all([dot_products(segment.vectors, vectors).T for segment in self._segments]).T

    def nearest(
        self, vector: np.ndarray, count: int, among: np.ndarray | None = None, *, exact: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """The photographs most similar to a unit vector (D,), best first: indices and cosines, count or fewer.

        among (N,) bool: only those. Cosines are exact. Of few photographs each is compared, or of all when exact is
        set; of many, those with the nearest sketches, and then a few that should be there may be missing. Asking for
        more, up to 1,000 and beyond, never changes the first ones; equally similar ones come by id.
        """
        vector = self._checked(vector[None])[0]
        if among is not None and among.shape != (len(self),):
            raise DimensionError(
                f"the mask is {among.shape} for {len(self)} photographs; it must have one value for each"
            )
        indices = None if among is None or among.all() else np.flatnonzero(among)
        kept = len(self) if indices is None else len(indices)
        if self._derived.projection is not None and not exact and kept > _GATHERED_ROWS and count <= _COMPARED_ROWS:
            indices = self._with_nearest_sketches(vector, indices)
        if indices is None:
            similarities = self.similarities(vector[None])[0]
        elif len(indices) <= _GATHERED_ROWS:
            similarities = self.similarities(vector[None], indices)[0]
        else:
            similarities = self.similarities(vector[None])[0][indices]
        best = _best(similarities, max(count, CANDIDATES))
        similarities, indices = similarities[best], best if indices is None else indices[best]
        order = np.lexsort((self.ids[indices], -similarities))[:count]
        return indices[order], similarities[order]

    def _with_nearest_sketches(self, vector: np.ndarray, indices: np.ndarray | None) -> np.ndarray:
        """Of photographs, or of all, the indices of some thousands that may be most similar to a vector."""
        projection = self._derived.projection
        assert projection is not None
        heads, tails = zip(*(segment.sketches for segment in self._segments if segment.sketches), strict=True)
        head, tail = projection.of_query(vector)
        scores = self._of_all([integer_dot_products(of_one, head) for of_one in heads])
        scores = scores if indices is None else scores[indices]
        near = _about_best(scores, max(len(scores) // _HEADS_SHARE, 4 * _COMPARED_ROWS))
        scores, indices = scores[near], near if indices is None else indices[near]
        for of_one, here, rows in self._chosen(self._places(indices), tails):
            scores[here] += integer_dot_products(of_one, tail, rows)
        return np.asarray(indices[_best(scores, _COMPARED_ROWS)])

    def _of_all(self, of_segments: list[np.ndarray]) -> np.ndarray:
        """What segments say of their places as (N, ...), a value for each index."""
        places = of_segments[0] if len(of_segments) == 1 else np.concatenate(of_segments)
        return places if self._live is None else np.asarray(places[self._live])

    def _gathered(self, places: np.ndarray, of_segments: Sequence[np.ndarray]) -> np.ndarray:
        """Rows at places of what the segments hold."""
        gathered = np.empty((len(places), *of_segments[0].shape[1:]), of_segments[0].dtype)
        for array, here, rows in self._chosen(places, of_segments):
            gathered[here] = array.take(rows, axis=0)
        return gathered

    def _chosen(
        self, places: np.ndarray, of_segments: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray | slice, np.ndarray]]:
        """Arrays of segments, which of the places are in each, and their rows there."""
        if len(of_segments) == 1:
            yield of_segments[0], slice(None), places
            return
        for start, array in zip(self._starts, of_segments, strict=False):
            here = np.flatnonzero((places >= start) & (places < start + len(array)))
            yield array, here, places[here] - start

    def _places(self, indices: np.ndarray) -> np.ndarray:
        indices = np.asarray(indices, np.int64)
        return indices if self._live is None else self._live[indices]

    def _places_that_live(self) -> np.ndarray | None:
        """None: all do."""
        dead = [
            start + segment.rows_of(later.hides)
            for number, (start, segment) in enumerate(zip(self._starts, self._segments, strict=False))
            for later in self._segments[number + 1 :]
        ]
        if not any(len(rows) for rows in dead):
            return None
        return np.delete(np.arange(self._starts[-1]), np.concatenate(dead))

    def _checked(self, vectors: np.ndarray) -> np.ndarray:
        if vectors.ndim != 2 or vectors.shape[1] != self.embed_dim:
            raise DimensionError(
                f"vectors of shape {vectors.shape} are not comparable with those of {self.embed_dim} numbers"
            )
        return np.asarray(vectors, np.float32)


def _best(values: np.ndarray, count: int) -> np.ndarray:
    """Rows of the count largest values and of all that are equal to the least of these; in the order of rows."""
    if len(values) <= count:
        return np.arange(len(values))
    return np.flatnonzero(values >= np.partition(values, len(values) - count)[len(values) - count])


def _about_best(values: np.ndarray, count: int) -> np.ndarray:
    """Rows of about the count largest values, in the order of rows: of those above a threshold that a sample gives."""
    sample = values[:: max(1, len(values) // _THRESHOLD_ROWS)]
    rank = len(sample) - max(1, round(count * len(sample) / len(values)))
    if rank <= 0:
        return np.arange(len(values))
    rows = np.flatnonzero(values >= np.partition(sample, rank)[rank])
    return rows if len(rows) > count // 2 else _best(values, count)
