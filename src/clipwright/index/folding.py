"""Near-identical shots among the hits of a search, folded into the best of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clipwright.index.dot_products import products_of_few
from clipwright.index.likeness import (
    SAME_PICTURE_BITS_ALONE,
    SAME_SCENE,
    EmbeddingScale,
    centred,
    hamming,
    relative_distance,
    says_something,
    within,
)

_BLOCK_ROWS = 64
_MOST_BITS = max(limit.bits for limit in SAME_SCENE)


def fold_near_identical(
    ranked: Sequence[int],
    hashes: np.ndarray,
    vectors: np.ndarray | None,
    scale: EmbeddingScale | None,
    most: int | None = None,
) -> list[tuple[int, tuple[int, ...]]]:
    """Each hit that is shown, with those folded into it; both in the order of rank. most: of those that are shown.

    ranked are R indices, best first; hashes (R,) uint64 and vectors (R, D) unit rows belong to them, in that order; a
    hash of 0 stands for none. scale is of the collection, not of the hits, which all look like the query. A hit is
    folded into the best one above it that is shown and near, whenever the two were taken. Without vectors or a scale
    only copies are folded.
    """
    left = np.ones(len(ranked), bool)
    folds: list[tuple[int, tuple[int, ...]]] = []
    nearness = _Nearness(hashes, vectors, scale)
    for start in range(0, len(ranked), _BLOCK_ROWS):
        block = start + np.flatnonzero(left[start : start + _BLOCK_ROWS])
        for place, near in zip(block.tolist(), nearness.of(block), strict=True):
            if not left[place]:
                continue
            left[place] = False
            folded = np.flatnonzero(near & left)
            left[folded] = False
            folds.append((ranked[place], tuple(ranked[other] for other in folded.tolist())))
            if len(folds) == most:
                return folds
    return folds


class _Nearness:
    """Which of R hits are near each other, worked out for those that are asked about."""

    def __init__(self, hashes: np.ndarray, vectors: np.ndarray | None, scale: EmbeddingScale | None) -> None:
        self._hashes, self._telling = hashes, says_something(hashes)
        self._rows: np.ndarray | None = None
        if vectors is not None and scale is not None:
            self._scale, self._rows = scale, centred(vectors, scale.mean)
            self._to_different = np.full(len(hashes), np.nan, np.float32)

    def of(self, places: np.ndarray) -> np.ndarray:
        """(P, R) bool: which hits are near those at places."""
        bits = hamming(self._hashes[places, None], self._hashes[None])
        alike = bits <= (SAME_PICTURE_BITS_ALONE if self._rows is None else _MOST_BITS)
        alike &= self._telling[places, None] & self._telling[None]
        if self._rows is None:
            return np.asarray(alike)
        # Of most hits none but itself looks alike, and then no vectors need be compared.
        asked = np.flatnonzero(alike.sum(axis=1) > 1)
        others = np.flatnonzero(alike[asked].any(axis=0))
        distances = relative_distance(
            products_of_few(self._rows[places[asked]], self._rows[others]),
            self._distance_to_different(places[asked])[:, None],
            self._distance_to_different(others)[None],
        )
        pairs = np.ix_(asked, others)
        near = np.zeros_like(alike)
        near[pairs] = within(SAME_SCENE, bits[pairs], distances) & alike[pairs]
        return near

    def _distance_to_different(self, places: np.ndarray) -> np.ndarray:
        unknown = places[np.isnan(self._to_different[places])]
        if len(unknown):
            assert self._rows is not None
            self._to_different[unknown] = self._scale.distance_to_different(self._rows[unknown], self._hashes[unknown])
        return np.asarray(self._to_different[places])
