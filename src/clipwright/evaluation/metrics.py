"""Metrics as plain functions over arrays, with the intervals that belong to them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Share:
    """A share of hits with its 95 % confidence interval, all from 0 to 1."""

    value: float
    low: float
    high: float
    count: int


def share(hits: np.ndarray) -> Share:
    """The share of hits (N,) bool with Wilson's score interval (Wilson 1927)."""
    count, z = len(hits), 1.959964
    p = float(hits.mean())
    centre = (p + z * z / (2 * count)) / (1 + z * z / count)
    spread = z / (1 + z * z / count) * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    return Share(p, max(0.0, centre - spread), min(1.0, centre + spread), count)


def top_k_hits(similarities: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Whether each row's label is among its k most similar classes: (N,) bool.

    similarities (N, K), labels (N,). A tie counts against the label: [[1, 1]] with label 0 is no hit at k = 1. So does
    what is not a number.
    """
    own = similarities[np.arange(len(labels)), labels]
    better = (~(similarities < own[:, None])).sum(axis=1) - 1
    return np.asarray(better < k)


def retrieval_hits(similarities: np.ndarray, owners: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Hits of image to text (N,) and of text to image (M,) among the first k, as bool.

    similarities (N, M); owners (M,) says whose caption each text is. An image is a hit where any of its captions is
    among the k texts nearest to it; a text is a hit where its image is among the k nearest images. Ties count against.
    """
    own = owners[None, :] == np.arange(len(similarities))[:, None]  # (N, M)
    best = np.where(own, similarities, -np.inf).max(axis=1)
    others_better = (~(similarities < best[:, None]) & ~own).sum(axis=1)
    return np.asarray(others_better < k), top_k_hits(similarities.T, owners, k)
