"""Relevance: how far a picture's similarity to a query stands out, from 0 to 1, on no model's scale.

Similarities are measured in the model's own marks: what general captions score on a picture, and what pictures of the
collection score on each other. docs/concepts/relevance.md explains the formula, benchmarks/relevance.py measures it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

BACKGROUND_COLUMNS = ("mean", "best")
"""What is kept of each picture's similarities to the background captions; best: the mean of its five highest."""
BEST = 5
USUAL_SPREAD = 0.45
"""Of a query's similarities over a collection, where the mean and the best of the captions are 1 apart."""
_SLOPE = 4.0
_PICTURE_SPREADS = 1.5
"""Spreads above the usual similarity of two pictures at which one is as relevant as not."""
_TRUSTED = 100
"""Photographs at which what they say of a query counts half."""
_PICTURES_COMPARED = 256
_BLOCK_ROWS = 8192
_TINY = 1e-6


def background_statistics(vectors: np.ndarray, background: np.ndarray) -> np.ndarray:
    """What is kept of each picture's similarities to general captions: (R, K) float32, columns BACKGROUND_COLUMNS.

    vectors (R, D) are pictures and background (B, D) captions, unit rows, both of any float type.
    """
    captions = np.asarray(background, np.float32).T
    best = min(BEST, captions.shape[1])
    statistics = np.empty((len(vectors), len(BACKGROUND_COLUMNS)), np.float32)
    for start in range(0, len(vectors), _BLOCK_ROWS):
        similarities = np.asarray(vectors[start : start + _BLOCK_ROWS], np.float32) @ captions
        rows = statistics[start : start + _BLOCK_ROWS]
        rows[:, 0] = similarities.mean(axis=1)
        rows[:, 1] = np.partition(similarities, -best, axis=1)[:, -best:].mean(axis=1)
    return statistics


@dataclass(frozen=True)
class CollectionStatistics:
    """What is usual in a collection, whatever the query."""

    captions_mean: float
    """Of the similarities of its pictures to general captions."""
    captions_best: float
    """The same of the captions that suit each picture best."""
    pictures_mean: float
    """Of the similarities of its pictures to each other."""
    pictures_spread: float
    """Their standard deviation."""


def collection_statistics(sample: np.ndarray, backgrounds: np.ndarray) -> CollectionStatistics:
    """What is usual in the collection of which sample (S, D), S >= 1, are vectors and backgrounds (R, K) statistics."""
    mean, best = (float(column) for column in np.asarray(backgrounds, np.float64).mean(axis=0))
    step = max(1, len(sample) // _PICTURES_COMPARED)
    pictures = np.asarray(sample[::step][:_PICTURES_COMPARED], np.float32)
    if len(pictures) < 2:
        return CollectionStatistics(mean, best, best, max(best - mean, _TINY))
    pairs = (pictures @ pictures.T).astype(np.float64)
    np.fill_diagonal(pairs, 0)  # a picture with itself is no pair
    count = len(pictures) * (len(pictures) - 1)
    usual = float(pairs.sum()) / count
    spread = math.sqrt(max(float(np.square(pairs).sum()) / count - usual**2, 0.0))
    # Of a handful of pictures the spread is chance: never take less than a tenth of the way to the same picture.
    return CollectionStatistics(mean, best, usual, max(spread, (1 - usual) / 10, _TINY))


@dataclass(frozen=True)
class QueryStatistics:
    """What is usual for one query in one collection."""

    photographs: int
    """In the sample."""
    centre: float
    """Median of its similarities to the sample."""
    spread: float
    """Their median absolute deviation, as the standard deviation that a normal distribution would have."""
    picture_share: float
    """How much of the query is pictures, 0 to 1: they are nearer to pictures than any words are."""


def query_statistics(similarities: np.ndarray, picture_share: float) -> QueryStatistics:
    """Of a query's similarities (S,), S >= 1, to a sample of the collection."""
    centre = float(np.median(similarities))
    spread = 1.4826 * float(np.median(np.abs(similarities - centre)))
    return QueryStatistics(len(similarities), centre, spread, picture_share)


def relevance(
    similarities: np.ndarray, backgrounds: np.ndarray, collection: CollectionStatistics, query: QueryStatistics
) -> np.ndarray:
    """The relevance of pictures to a query from their similarities (R,) and backgrounds (R, K): (R,) float32, 0 to 1.

    At 0.5 a picture is as near to words as to the general captions that suit it best, once the query's own habits in
    the collection are taken off; and as near to a picture as one and a half spreads above the usual pair of pictures.
    """
    words, pictures = 1 - query.picture_share, query.picture_share
    captions_unit = max(collection.captions_best - collection.captions_mean, _TINY)
    pictures_unit = _PICTURE_SPREADS * collection.pictures_spread
    unit = words * captions_unit + pictures * pictures_unit
    usual = words * collection.captions_mean + pictures * collection.pictures_mean
    even = words * np.asarray(backgrounds[:, 1], np.float64) + pictures * (collection.pictures_mean + pictures_unit)
    trust = words * query.photographs / (query.photographs + _TRUSTED)
    height = 1 + (similarities - even) / unit - 0.5 * trust * (query.centre - usual) / unit
    height /= 1 + 0.5 * trust * (query.spread / unit / USUAL_SPREAD - 1)
    return np.asarray(1 / (1 + np.exp(-_SLOPE * np.clip(height - 1, -20, 20))), np.float32)


def adaptive_cut(best: float, photographs: int) -> float:
    """The relevance from which on hits stand out, when the best of so many photographs has relevance best.

    Infinity where the best does not: the more photographs, the higher chance alone brings one (as the root of the
    logarithm, for what is spread normally). Else those count that stand at least seven tenths as high as it.
    """
    height = _height(best)
    if height < max(1.0, 0.4 + 0.3 * math.sqrt(2 * math.log(max(photographs, 2)))):
        return math.inf
    return 1 / (1 + math.exp(-_SLOPE * (0.7 * height - 1)))


def _height(relevance: float) -> float:
    """What relevance made of it: 1 where it is 0.5, 0 for what usual pictures have."""
    inside = min(max(relevance, 1e-7), 1 - 1e-7)
    return 1 + math.log(inside / (1 - inside)) / _SLOPE
