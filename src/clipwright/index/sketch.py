"""Sketches of vectors: a byte for each of the directions in which a collection varies most.

Reading 96 bytes a photograph instead of 1,024 tells the few thousand that may be nearest to a query; these are then
compared exactly. The directions are the principal ones of a sample (PCA), so most of what tells pictures apart is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clipwright.index.dot_products import integer_dot_products

SKETCH_BYTES = 96
_DEVIATIONS = 4.0
"""How many standard deviations of the widest direction a byte spans to each side."""
_BLOCK_ROWS = 8192


@dataclass(frozen=True)
class Projection:
    """From vectors to their sketches."""

    mean: np.ndarray
    """(D,) float32"""
    directions: np.ndarray
    """(D, d) float32, orthonormal columns, divided by what one step of a byte stands for."""

    @classmethod
    def of(cls, sample: np.ndarray) -> Projection:
        """Made for vectors like a sample (S, D) float32 of them."""
        mean = sample.mean(axis=0)
        centred = sample - mean
        variances, directions = np.linalg.eigh(centred.T @ centred / max(1, len(sample)))
        kept = np.argsort(-variances, kind="stable")[:SKETCH_BYTES]
        step = _DEVIATIONS * np.sqrt(max(float(variances[kept[0]]), 1e-12)) / 127
        return cls(mean.astype(np.float32), np.ascontiguousarray(directions[:, kept] / step, np.float32))

    def sketch(self, vectors: np.ndarray) -> np.ndarray:
        """(R, d) int8 of vectors (R, D) of any float type."""
        sketches = np.empty((len(vectors), self.directions.shape[1]), np.int8)
        for start in range(0, len(vectors), _BLOCK_ROWS):
            centred = np.asarray(vectors[start : start + _BLOCK_ROWS], np.float32) - self.mean
            sketches[start : start + _BLOCK_ROWS] = np.rint(centred @ self.directions).clip(-127, 127)
        return sketches

    def scores(self, sketches: np.ndarray, vector: np.ndarray) -> np.ndarray:
        """(R,) int32 that rise with the similarity of what sketches (R, d) stand for to a vector (D,)."""
        projected = vector @ self.directions
        largest = float(np.abs(projected).max()) or 1.0
        return integer_dot_products(sketches, np.rint(projected * (127 / largest)).astype(np.int8))
