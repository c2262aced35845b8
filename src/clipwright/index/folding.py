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
    bits = hamming(hashes[:, None], hashes[None])
    if vectors is None or scale is None:
        near = bits <= SAME_PICTURE_BITS_ALONE
    else:
        rows = centred(vectors, scale.mean)
        to_different = scale.distance_to_different(rows, hashes)
        near = within(SAME_SCENE, bits, relative_distance(rows @ rows.T, to_different[:, None], to_different[None]))
    telling = says_something(hashes)
    near &= telling[:, None] & telling[None]
    left = np.ones(len(ranked), bool)
    folds: list[tuple[int, tuple[int, ...]]] = []
    for place, index in enumerate(ranked):
        if left[place]:
            left[place] = False
            folded = np.flatnonzero(near[place] & left).tolist()
            left[folded] = False
            folds.append((index, tuple(ranked[other] for other in folded)))
    return folds
