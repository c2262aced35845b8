"""A search of an index from the query to hits: which vectors are compared, ranked, folded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from clipwright.embedding.embedder import Embedder, unit_rows
from clipwright.errors import DimensionError, IndexFileError, QueryError
from clipwright.index.filters import Filters
from clipwright.index.folding import fold_near_identical
from clipwright.index.likeness import EmbeddingScale
from clipwright.index.photo import Hit, Photo
from clipwright.index.query import Blend, Query, Term
from clipwright.index.query_parser import parse_query
from clipwright.index.ranking import CANDIDATES, rank
from clipwright.index.store import Space, Store
from clipwright.index.vector_table import VectorTable
from clipwright.inputs.images import ImageSource


def search_index(
    store: Store,
    query: str | Query | np.ndarray | None,
    embedder: Embedder | None,
    *,
    like: int | None,
    limit: int,
    threshold: float | None,
    adaptive: bool,
    filters: Filters,
    unique: bool,
    exact: bool,
    uploads: Mapping[str, ImageSource] | None,
) -> list[Hit]:
    """What PhotoIndex.search says."""
    if (query is None) == (like is None):
        raise QueryError("a search takes either a query or a photograph that others are to be like")
    parsed = _parsed(query, like)
    table = VectorTable.open(store.path, _space_of(store, embedder))
    if isinstance(query, np.ndarray):
        vectors = unit_rows(query.reshape(1, -1))
    else:
        vectors = parsed.embed(embedder, _vectors_of(table), uploads)
    if vectors.shape[1] != table.embed_dim:
        raise DimensionError(f"the vector has {vectors.shape[1]} numbers, those of the photographs {table.embed_dim}")
    among = table.matching(filters)
    if like is not None:
        among = table.ids != like if among is None else among & (table.ids != like)
    ranked = rank(
        parsed,
        vectors,
        table,
        among=among,
        limit=max(limit, CANDIDATES) if unique else limit,
        threshold=threshold,
        adaptive=adaptive,
        exact=exact,
    )
    photos = {photo.id: photo for photo in store.photos([int(table.ids[row.index]) for row in ranked])}
    hits = [
        Hit(photos[photo], row.similarity, row.relevance)
        for row in ranked
        if (photo := int(table.ids[row.index])) in photos  # else it was removed meanwhile
    ]
    return _folded(hits, store, table)[:limit] if unique else hits


def spaces_by_size(store: Store) -> list[Space]:
    """The spaces of the index, the one that most photographs have first."""
    spaces = store.spaces()
    if len(spaces) > 1:
        with store.reading() as connection:
            counted = dict(connection.execute("SELECT space, COUNT(*) FROM vectors GROUP BY space").fetchall())
        spaces.sort(key=lambda space: -counted.get(space.id, 0))
    return spaces


def largest_space(store: Store) -> str:
    """The space_id of the space that most photographs have. Raises IndexFileError where there is none."""
    spaces = spaces_by_size(store)
    if not spaces:
        raise IndexFileError(
            f"the index {str(store.path)!r} holds no photographs yet; 'clipwright index FOLDER' adds some"
        )
    return spaces[0].space_id


def _parsed(query: str | Query | np.ndarray | None, like: int | None) -> Query:
    if isinstance(query, str):
        return parse_query(query)
    if isinstance(query, Query):
        return query
    return Query.like(like) if like is not None else Query(Blend((Term("words", "a vector"),)))


def _folded(hits: list[Hit], store: Store, table: VectorTable) -> list[Hit]:
    """Near-identical shots folded into the best of each."""
    if len(hits) < 2:
        return hits
    places = table.sample_indices()
    scale = EmbeddingScale.of(table.rows(places), _hashes(store.photos(table.ids[places].tolist())))
    rows = np.array([np.flatnonzero(table.ids == hit.photo.id)[0] for hit in hits])
    hashes = _hashes([hit.photo for hit in hits])
    return [
        replace(hits[first], folded=tuple(hits[other].photo for other in others))
        for first, others in fold_near_identical(range(len(hits)), hashes, table.rows(rows), scale)
    ]


def _space_of(store: Store, embedder: Embedder | None) -> str:
    if embedder is None:
        return largest_space(store)
    if embedder.space_id not in {space.space_id for space in store.spaces()}:
        raise IndexFileError(
            f"the index {str(store.path)!r} has no vectors of {embedder.name}; search with the model that built it, or"
            " update the index with this one"
        )
    return embedder.space_id


def _vectors_of(table: VectorTable) -> Callable[[int], np.ndarray]:
    def vector(photo: int) -> np.ndarray:
        places = np.flatnonzero(table.ids == photo)
        if not len(places):
            raise KeyError(photo)
        return np.asarray(table.rows(places[:1])[0])

    return vector


def _hashes(photos: Sequence[Photo]) -> np.ndarray:
    """(N,) uint64; 0 where there is none."""
    return np.array([photo.perceptual_hash or 0 for photo in photos], np.uint64)
