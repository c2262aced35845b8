"""From a query's vectors to ranked photographs. Pure: whatever holds the vectors is a Table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from clipwright.errors import QueryError
from clipwright.index.dot_products import products_of_few
from clipwright.index.query import And, Blend, Node, Not, Query
from clipwright.tasks.relevance import (
    CollectionStatistics,
    QueryStatistics,
    adaptive_cut,
    query_statistics,
    relevance,
)

CANDIDATES = 1_000
"""Nearest photographs that are looked at again for one blend, and the most results of any query."""
_ROUNDING = 1e-6
"""The most by which the same relevance may differ from one search to the next, since rows are multiplied together."""
_BLOCK_ROWS = 65_536
"""Rows that a query with logic looks at together: some megabytes for each of its blends."""


@dataclass(frozen=True)
class Sample:
    """Photographs that stand for a collection."""

    indices: np.ndarray
    """(S,) int64: some of its rows."""
    vectors: np.ndarray
    """(S, D) float32"""
    statistics: CollectionStatistics


class Table(Protocol):
    """What ranking asks of an index's vectors; VectorTable has it."""

    @property
    def ids(self) -> np.ndarray:
        """(N,) int64: the photographs' ids, in the order of rows."""

    @property
    def sample(self) -> Sample:
        """Some rows spread over the collection, of which there are any."""

    def nearest(
        self, vector: np.ndarray, count: int, among: np.ndarray | None = None, *, exact: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows near a vector (D,), and their similarities."""

    def similarities(self, vectors: np.ndarray, indices: np.ndarray | None = None) -> np.ndarray:
        """(L, R) float32, exact."""

    def background(self, indices: np.ndarray | None) -> np.ndarray:
        """(R, K) float32: tasks.relevance.background_statistics of rows."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """One row of the table as an answer."""

    index: int
    similarity: float
    """To the blend that decided, where the query has several."""
    relevance: float


def rank(
    query: Query,
    vectors: np.ndarray,
    table: Table,
    *,
    among: np.ndarray | None = None,
    limit: int = 20,
    threshold: float | None = None,
    adaptive: bool = False,
    exact: bool = False,
) -> list[Ranked]:
    """At most limit rows that answer a query, best first.

    vectors (L, D) are the query's, as Query.embed gives them; among, a mask (N,), leaves only the rows where it is
    true. One blend is ordered by similarity, and the list from which all limits take is the same; with AND, OR or NOT
    all rows are ordered by relevance. Equal ones are ordered by the photographs' ids. threshold drops what is less
    relevant, adaptive what does not stand out. exact: without an approximate index.
    Raises QueryError for a limit beyond CANDIDATES and a threshold that is no relevance.
    """
    if not 1 <= limit <= CANDIDATES:
        raise QueryError(f"a search gives 1 to {CANDIDATES:,} results, not {limit:,}")
    if threshold is not None and not 0 <= threshold <= 1:
        raise QueryError(f"a threshold is a relevance from 0 to 1, not {threshold:g}")
    searched = len(table.ids) if among is None else int(np.count_nonzero(among))
    if not searched:
        return []
    collection, habits = table.sample.statistics, _habits(query, vectors, table.sample)
    if isinstance(query.root, Blend):
        ranked = _rank_blend(vectors[0], table, among, exact, collection, habits[0])
    else:
        ranked = _rank_logic(query, vectors, table, among, collection, habits)
    least = threshold - _ROUNDING if threshold is not None else 0.0
    if adaptive and ranked:
        least = max(least, adaptive_cut(max(row.relevance for row in ranked), searched))
    return [row for row in ranked if row.relevance >= least][:limit]


def _habits(query: Query, vectors: np.ndarray, sample: Sample) -> tuple[QueryStatistics, ...]:
    similarities = products_of_few(np.asarray(vectors, np.float32), sample.vectors)
    shares = [blend.picture_share for blend in query.blends]
    return tuple(query_statistics(row, share) for row, share in zip(similarities, shares, strict=True))


def _rank_blend(
    vector: np.ndarray,
    table: Table,
    among: np.ndarray | None,
    exact: bool,
    collection: CollectionStatistics,
    habits: QueryStatistics,
) -> list[Ranked]:
    indices, _ = table.nearest(vector, CANDIDATES, among, exact=exact)
    indices = np.asarray(indices, np.int64)
    similarities = table.similarities(vector[None], indices)[0]
    relevances = relevance(similarities, table.background(indices), collection, habits)
    order = np.lexsort((table.ids[indices], -similarities))
    return [Ranked(int(indices[i]), float(similarities[i]), float(relevances[i])) for i in order]


def _rank_logic(
    query: Query,
    vectors: np.ndarray,
    table: Table,
    among: np.ndarray | None,
    collection: CollectionStatistics,
    habits: tuple[QueryStatistics, ...],
) -> list[Ranked]:
    """The CANDIDATES most relevant rows, from blocks of all rows, of which only the best so far are kept."""
    kept = np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.float32)
    for rows in _blocks(len(table.ids), among):
        similarities, backgrounds = table.similarities(vectors, rows), table.background(rows)
        leaves = {
            blend: (relevance(leaf, backgrounds, collection, statistics), leaf)
            for blend, leaf, statistics in zip(query.blends, similarities, habits, strict=True)
        }
        relevances, decided = _combine(query.root, leaves)
        indices = np.concatenate([kept[0], rows])
        relevances, decided = np.concatenate([kept[1], relevances]), np.concatenate([kept[2], decided])
        best = _best(relevances, table.ids[indices])
        kept = indices[best], relevances[best], decided[best]
    return [Ranked(int(i), float(similarity), float(r)) for i, r, similarity in zip(*kept, strict=True)]


def _blocks(count: int, among: np.ndarray | None) -> Iterator[np.ndarray]:
    if among is None:
        for start in range(0, count, _BLOCK_ROWS):
            yield np.arange(start, min(start + _BLOCK_ROWS, count))
        return
    rows = np.flatnonzero(among)
    for start in range(0, len(rows), _BLOCK_ROWS):
        yield rows[start : start + _BLOCK_ROWS]


def _combine(node: Node, leaves: Mapping[Blend, tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Relevances (R,) to a part of a query, and the similarities (R,) to the blends that decided."""
    if isinstance(node, Blend):
        return leaves[node]
    if isinstance(node, Not):
        relevances, decided = _combine(node.part, leaves)
        return 1 - relevances, decided
    relevances, decided = _combine(node.parts[0], leaves)
    for part in node.parts[1:]:
        others, deciding = _combine(part, leaves)
        takes = others < relevances if isinstance(node, And) else others > relevances
        relevances, decided = np.where(takes, others, relevances), np.where(takes, deciding, decided)
    return relevances, decided


def _best(relevances: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Positions of the CANDIDATES highest, best first, equal ones by id; without sorting all."""
    chosen = np.arange(len(relevances))
    if len(chosen) > CANDIDATES:
        last = np.partition(relevances, -CANDIDATES)[-CANDIDATES]
        above, equal = np.flatnonzero(relevances > last), np.flatnonzero(relevances == last)
        chosen = np.concatenate([above, equal[np.argsort(ids[equal])[: CANDIDATES - len(above)]]])
    return chosen[np.lexsort((ids[chosen], -relevances[chosen]))]
