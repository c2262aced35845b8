"""Sketches of vectors: a byte for each of the directions in which a collection varies most.

Of a million photographs, the 64 bytes of each sketch's head tell the few in a hundred that may be near to a query, and
the 64 of its tail which thousands of these; only they are compared exactly. The directions are the principal ones of a
sample (PCA), so the first ones hold most of what tells pictures apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

HEAD_BYTES, TAIL_BYTES = 64, 64
"""Each a line of the processor's cache."""
_DEVIATIONS = 4.0
"""How many standard deviations of the widest direction a byte spans to each side."""


@dataclass(frozen=True)
class Projection:
    """From vectors to their sketches."""

    mean: np.ndarray
    """(D,) float32"""
    directions: np.ndarray
    """(D, d) float32, orthogonal columns, the widest first, over what one step of a byte stands for."""

    @classmethod
    def of(cls, sample: np.ndarray) -> Projection:
        """Made for vectors like a sample (S, D) float32 of them."""
        mean = sample.mean(axis=0)
        centred = sample - mean
        variances, directions = np.linalg.eigh(centred.T @ centred / max(1, len(sample)))
        kept = np.argsort(-variances, kind="stable")[: HEAD_BYTES + TAIL_BYTES]
        step = _DEVIATIONS * np.sqrt(max(float(variances[kept[0]]), 1e-12)) / 127
        return cls(mean.astype(np.float32), np.ascontiguousarray(directions[:, kept] / step, np.float32))

    def sketch(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Heads and tails (R, 64) int8 of vectors (R, D) of any float type; fewer columns where D is less."""
        centred = np.asarray(vectors, np.float32) - self.mean
        sketches = np.rint(centred @ self.directions).clip(-127, 127).astype(np.int8)
        return np.ascontiguousarray(sketches[:, :HEAD_BYTES]), np.ascontiguousarray(sketches[:, HEAD_BYTES:])

    def of_query(self, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Two of (64,) int8 for a vector (D,): the sum of their products with a photograph's head and tail rises
        with its similarity."""
        projected = vector @ self.directions
        largest = float(np.abs(projected).max()) or 1.0
        rounded = np.rint(projected * (127 / largest)).astype(np.int8)
        return rounded[:HEAD_BYTES], rounded[HEAD_BYTES:]
