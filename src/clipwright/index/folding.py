"""Near-identical shots among the hits of a search, folded into the best of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

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


def fold_near_identical(
    ranked: Sequence[int], hashes: np.ndarray, vectors: np.ndarray | None, scale: EmbeddingScale | None
) -> list[tuple[int, tuple[int, ...]]]:
    """Each hit that is shown, with those folded into it; both in the order of rank.

    ranked are R indices, best first; hashes (R,) uint64 and vectors (R, D) unit rows belong to them, in that order; a
    hash of 0 stands for none. scale is of the collection, not of the hits, which all look like the query. A hit is
    folded into the best one above it that is shown and near, whenever the two were taken. Without vectors or a scale
    only copies are folded.
    """
    near, places = _near(hashes, vectors, scale)
    left = np.ones(len(places), bool)
    folded: dict[int, tuple[int, ...]] = {}
    for row, place in enumerate(places):
        if left[row]:
            left[row] = False
            others = np.flatnonzero(near[row] & left)
            left[others] = False
            folded[int(place)] = tuple(ranked[other] for other in places[others])
    hidden = set(places.tolist()) - folded.keys()
    return [(index, folded.get(place, ())) for place, index in enumerate(ranked) if place not in hidden]


def _near(
    hashes: np.ndarray, vectors: np.ndarray | None, scale: EmbeddingScale | None
) -> tuple[np.ndarray, np.ndarray]:
    """Which of the hits that look like another one are near each other, (P, P) bool, and their places (P,)."""
    by_vectors = vectors is not None and scale is not None
    most_bits = max(limit.bits for limit in SAME_SCENE) if by_vectors else SAME_PICTURE_BITS_ALONE
    telling = says_something(hashes)
    alike = (hamming(hashes[:, None], hashes[None]) <= most_bits) & telling[:, None] & telling[None]
    np.fill_diagonal(alike, False)
    places = np.flatnonzero(alike.any(axis=1))  # few of many: what looks like no other needs no vectors compared
    near = alike[np.ix_(places, places)]
    if vectors is not None and scale is not None and len(places):
        bits = hamming(hashes[places, None], hashes[None, places])
        rows = centred(vectors[places], scale.mean)
        to_different = scale.distance_to_different(rows, hashes[places])
        near &= within(SAME_SCENE, bits, relative_distance(rows @ rows.T, to_different[:, None], to_different[None]))
    return near, places
