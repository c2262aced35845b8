"""The spaces of an index as searches find them: opened once, and kept until the index changes."""

from __future__ import annotations

import functools
import threading
from pathlib import Path

import numpy as np

from clipwright.errors import IndexFileError
from clipwright.index.facets import Facets, facets_of
from clipwright.index.filters import Filters
from clipwright.index.likeness import EmbeddingScale
from clipwright.index.store import Space, Store, Version
from clipwright.index.vector_table import VectorTable

_LARGE = 10_000
"""Photographs of a collection whose scale is worked out of a sample of them."""
_LITTLE = 0.01
"""What part of them may come or go until it is worked out anew, which takes as long as some searches."""


class OpenSpace:
    """A space of an index as it was when it was opened, and what is worked out of it once."""

    def __init__(self, store: Store, table: VectorTable, before: OpenSpace | None = None) -> None:
        """before: the same space, opened earlier."""
        self._store = store
        self.table = table
        self._scale: EmbeddingScale | None = before._scale if before and self._is_nearly(before) else None

    def vector(self, photo: int) -> np.ndarray:
        """(D,) float32, unit: of a photograph, by its id. Raises KeyError where there is none."""
        index = self.table.index_of(photo)
        if index is None:
            raise KeyError(photo)
        return np.asarray(self.table.rows(np.array([index]))[0])

    @property
    def scale(self) -> EmbeddingScale | None:
        """What distances mean in this collection; None: it is too small to say."""
        if self._scale is None:
            sample = self.table.sample
            hashes = self._store.perceptual_hashes(self.table.ids[sample.indices].tolist())
            self._scale = EmbeddingScale.of(sample.vectors, hashes)
        return self._scale

    @functools.cached_property
    def facets(self) -> Facets:
        return facets_of(self.table)

    def newest(self, limit: int, offset: int, filters: Filters) -> list[int]:
        """Ids of photographs by when they were taken, the newest first, those of unknown date at the end."""
        kept = self.table.matching(filters)
        order = self._by_date if kept is None else self._by_date[kept[self._by_date]]
        return [int(id_) for id_ in self.table.ids[order[offset : offset + limit]]]

    def _is_nearly(self, before: OpenSpace) -> bool:
        """Whether so little changed that a sample of the collection, as it was, still stands for it."""
        now, then = len(self.table), len(before.table)
        return min(now, then) >= _LARGE and abs(now - then) <= _LITTLE * then

    @functools.cached_property
    def _by_date(self) -> np.ndarray:
        """(N,) int64: indices of all photographs in that order, those of one moment by id."""
        return np.lexsort((self.table.ids, -self.table.taken))  # NaN comes last


class OpenSpaces:
    """The spaces of one index, each opened when it is first asked for. Safe to use from several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: tuple[Version, list[Space]] | None = None
        self._opened: dict[str, tuple[Version, OpenSpace]] = {}
        self._opening = threading.Lock()

    @property
    def database(self) -> Path:
        return self._store.path

    def by_size(self) -> list[Space]:
        """All of them, the one that most photographs have first."""
        version = self._store.version()
        known = self._known
        if known is None or known[0] != version:
            spaces = self._store.spaces()
            if len(spaces) > 1:
                counted = self._store.vector_counts()
                spaces.sort(key=lambda space: -counted.get(space.id, 0))
            self._known = known = version, spaces
        return list(known[1])

    def largest(self) -> str:
        """The space_id of the space that most photographs have. Raises IndexFileError where there is none."""
        spaces = self.by_size()
        if not spaces:
            raise IndexFileError(
                f"the index {str(self.database)!r} holds no photographs yet; 'clipwright index FOLDER' adds some"
            )
        return spaces[0].space_id

    def space(self, space_id: str) -> OpenSpace:
        """A space as the database has it now. Raises IndexFileError where it has none such, or cannot be read."""
        version = self._store.version()  # before it is opened: what is opened is of this version or a later one
        with self._opening:
            known = self._opened.get(space_id)
            if known is None or known[0] != version:
                before = known[1] if known else None
                table = VectorTable.open(self._store.path, space_id)
                known = version, OpenSpace(self._store, table, before)
                self._opened[space_id] = known
            return known[1]

    def close(self) -> None:
        with self._opening:
            self._opened.clear()
            self._known = None
