"""A search of an index from the query to hits: which vectors are compared, ranked, folded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from clipwright.embedding.embedder import Embedder, unit_rows
from clipwright.errors import DimensionError, IndexFileError, QueryError
from clipwright.index.filters import Filters
from clipwright.index.folding import fold_near_identical
from clipwright.index.open_space import OpenSpace, OpenSpaces
from clipwright.index.photo import Hit, Photo
from clipwright.index.query import Blend, Query, Term
from clipwright.index.query_parser import parse_query
from clipwright.index.ranking import CANDIDATES, Ranked, rank
from clipwright.index.store import Store
from clipwright.inputs.images import ImageSource


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How an index is searched, whatever for."""

    limit: int = 20
    offset: int = 0
    """So many of the best are left out; offset and limit together are 1,000 at most."""
    threshold: float | None = None
    """Drops what is less relevant, 0 to 1."""
    adaptive: bool = False
    """Drops what does not stand out from the collection."""
    filters: Filters = field(default_factory=Filters)
    unique: bool = False
    """Folds near-identical shots into the best one."""
    exact: bool = False
    """Compares all photographs however many there are."""
    without: int | None = None
    """The id of a photograph that is not to be found: the one that others are to resemble."""


def search_index(
    store: Store,
    spaces: OpenSpaces,
    query: str | Query | np.ndarray | None,
    embedder: Embedder | None,
    like: int | None,
    uploads: Mapping[str, ImageSource] | None,
    options: SearchOptions,
) -> list[Hit]:
    """What PhotoIndex.search says."""
    if (query is None) == (like is None):
        raise QueryError("a search takes either a query or a photograph that others are to be like")
    parsed = _parsed(query, like)
    space = spaces.space(_space_of(spaces, embedder))
    if isinstance(query, np.ndarray):
        vectors = unit_rows(query.reshape(1, -1))
        if not np.isfinite(vectors).all() or not vectors.any():
            raise QueryError(
                "a query's vector must be of finite numbers that are not all 0; nothing is near to this one"
            )
    else:
        vectors = parsed.embed(embedder, space.vector, uploads)
    return search_space(store, space, parsed, vectors, replace(options, without=like))


def search_space(
    store: Store, space: OpenSpace, query: Query, vectors: np.ndarray, options: SearchOptions
) -> list[Hit]:
    """The photographs of a space that answer a query, best first; vectors (L, D) are what Query.embed gives.

    Raises QueryError for limits beyond 1,000 and a threshold that is none, DimensionError for vectors of another model.
    """
    table = space.table
    if vectors.shape[1] != table.embed_dim:
        raise DimensionError(f"the vector has {vectors.shape[1]} numbers, those of the photographs {table.embed_dim}")
    among = table.matching(options.filters)
    if options.without is not None:
        others = table.ids != options.without
        among = others if among is None else among & others
    wanted = options.offset + options.limit
    ranked = rank(
        query,
        vectors,
        table,
        among=among,
        limit=max(wanted, CANDIDATES) if options.unique else wanted,
        threshold=options.threshold,
        adaptive=options.adaptive,
        exact=options.exact,
    )
    found = _folded(ranked, wanted, store, space) if options.unique else [(row, ()) for row in ranked]
    found = found[options.offset : wanted]
    ids = [int(table.ids[row.index]) for best, others in found for row in (best, *others)]
    photos = {photo.id: photo for photo in store.photos(ids)}  # without those that were removed meanwhile
    return [
        Hit(photo, best.similarity, best.relevance, tuple(_known(photos, table.ids, others)))
        for best, others in found
        for photo in _known(photos, table.ids, [best])
    ]


def _folded(
    ranked: list[Ranked], wanted: int, store: Store, space: OpenSpace
) -> list[tuple[Ranked, tuple[Ranked, ...]]]:
    """The first that are shown, and near-identical shots of each."""
    if len(ranked) < 2:
        return [(row, ()) for row in ranked]
    indices = np.array([row.index for row in ranked])
    hashes = store.perceptual_hashes(space.table.ids[indices].tolist())
    folds = fold_near_identical(range(len(ranked)), hashes, space.table.rows(indices), space.scale, wanted)
    return [(ranked[first], tuple(ranked[other] for other in others)) for first, others in folds]


def _known(photos: Mapping[int, Photo], ids: np.ndarray, rows: Iterable[Ranked]) -> Iterator[Photo]:
    for row in rows:
        photo = photos.get(int(ids[row.index]))
        if photo is not None:
            yield photo


def _parsed(query: str | Query | np.ndarray | None, like: int | None) -> Query:
    if isinstance(query, str):
        return parse_query(query)
    if isinstance(query, Query):
        return query
    return Query.like(like) if like is not None else Query(Blend((Term("words", "a vector"),)))


def _space_of(spaces: OpenSpaces, embedder: Embedder | None) -> str:
    if embedder is None:
        return spaces.largest()
    if embedder.space_id not in {space.space_id for space in spaces.by_size()}:
        raise IndexFileError(
            f"the index {str(spaces.database)!r} has no vectors of {embedder.name}; search with the model that built"
            " it, or update the index with this one"
        )
    return embedder.space_id
