"""How alike two photographs must be to be one picture or one moment, by hash and by embedding.

A cosine means little by itself: each model has a scale of its own, and motorcycles are more alike than beaches. What
counts is how far apart two pictures are in units of how far each is from the nearest pictures that look different.
docs/concepts/duplicates.md tells how the figures were chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from clipwright.index.dot_products import products_of_few

DIFFERENT_BITS = 20
"""Two pictures whose hashes differ in more bits than this look different."""
SAMPLE = 2048
"""Different pictures that stand for a collection."""
LEAST_SAMPLE = 64
"""Fewer different pictures are no measure; then hashes alone decide."""
NEIGHBOURS = 2
"""Nearest different pictures that are averaged."""
SAYS_LITTLE = 10
"""Of 64 bits: a hash with fewer ones or fewer zeros is of a flat picture, and near to it says nothing."""


@dataclass(frozen=True)
class Limit:
    """Near enough: at most so many bits apart, and so far in units of the distance to different pictures."""

    bits: int
    distance: float


SAME_PICTURE = (Limit(3, 1.0), Limit(10, 0.3))
SAME_PICTURE_BITS_ALONE = 3
"""Without embeddings."""
SAME_MOMENT = (Limit(20, 1.0),)
"""For two pictures that say that one camera took them within seconds."""
SAME_MOMENT_BITS_ALONE = 12
SAME_SCENE = (Limit(16, 0.4),)
"""For two pictures of which one does not say when or with what it was taken."""
WIDEST_BITS = max(limit.bits for limit in (*SAME_PICTURE, *SAME_SCENE))
"""What candidates that are not of one moment may differ in."""


@dataclass(frozen=True)
class EmbeddingScale:
    """What distances mean in a collection: its mean vector, and different pictures of it."""

    mean: np.ndarray
    """(D,) float32: taken off every vector before cosines are made, because it says nothing of any one picture."""
    vectors: np.ndarray
    """(S, D) float32 centred unit rows."""
    hashes: np.ndarray
    """(S,) uint64."""

    @classmethod
    def of(cls, vectors: np.ndarray, hashes: np.ndarray) -> Self | None:
        """From a sample of the collection: (R, D) unit vectors and (R,) uint64 hashes. None: too few different ones."""
        kept = _one_of_each(hashes)
        if len(kept) < LEAST_SAMPLE:
            return None
        sample = np.asarray(vectors[kept], np.float32)
        mean = sample.mean(axis=0)
        return cls(mean, centred(sample, mean), hashes[kept])

    def distance_to_different(self, vectors: np.ndarray, hashes: np.ndarray) -> np.ndarray:
        """How far the nearest pictures of the sample are that look different: 1 - cosine, (R,) float32.

        vectors (R, D) are centred unit rows.
        """
        cosines = products_of_few(vectors, self.vectors)
        cosines[np.bitwise_count(hashes[:, None] ^ self.hashes[None]) <= DIFFERENT_BITS] = -1
        return np.asarray(1 - np.partition(cosines, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS:].mean(axis=1), np.float32)


def centred(vectors: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """(R, D) unit rows without what all have in common."""
    moved = vectors - mean
    return np.asarray(moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12), np.float32)


def relative_distance(cosines: np.ndarray, to_different: np.ndarray, others_to_different: np.ndarray) -> np.ndarray:
    """How far apart pairs are, in units of what the one nearer to different pictures has to them: 0 is the same."""
    return np.asarray((1 - cosines) / np.maximum(np.minimum(to_different, others_to_different), 1e-6), np.float32)


def hamming(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Bits in which uint64 hashes differ."""
    return np.asarray(np.bitwise_count(a ^ b))


def says_something(hashes: np.ndarray) -> np.ndarray:
    """Whether each hash (uint64) is of a picture with enough structure for its nearness to mean something: bool."""
    ones = np.bitwise_count(hashes)
    return np.asarray((ones >= SAYS_LITTLE) & (ones <= 64 - SAYS_LITTLE))


def within(limits: tuple[Limit, ...], bits: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Whether pairs so many bits and so far apart reach one of the limits: bool. A distance of NaN reaches none."""
    reached = np.zeros(bits.shape, bool)
    for limit in limits:
        reached |= (bits <= limit.bits) & (distances <= limit.distance)
    return reached


def _one_of_each(hashes: np.ndarray) -> np.ndarray:
    """Indices of one of each look, in order: bursts and copies in a sample would pass for different pictures."""
    kept: list[int] = []
    looks = np.empty(SAMPLE, np.uint64)
    for index, look in enumerate(hashes):
        if len(kept) == SAMPLE:
            break
        if not kept or int(np.bitwise_count(looks[: len(kept)] ^ look).min()) > WIDEST_BITS:
            looks[len(kept)] = look
            kept.append(index)
    return np.array(kept, np.int64)
