"""Pairs of photographs that may be duplicates, found without comparing each with each.

Three ways, as rows of a table that is sorted best first: hashes that agree in a quarter of their bits (all pairs that
differ in 3 bits or fewer are among these), moments that are seconds apart, and vectors in the same cells of space.
The number of pairs is bounded for every photograph, so that a million like ones neither fill the memory nor take
quadratic time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from clipwright.index.likeness import EmbeddingScale, centred

BANDS = 4
AT_MOST = 64
"""Better candidates that are kept of a photograph, for each way."""
WINDOW = 4096
"""Of a crowded cell each photograph is compared with so many that are better and next to it in rank."""
CELL_MEMBERS = 300
"""Photographs for each cell's centre."""
CELLS_OF_EACH = 3
"""A photograph is put into its nearest cells, so that neighbours on either side of a border meet."""
AXES = 64
"""Of the space in which the cells are told apart."""
BLOCK = 4096

Pairs = tuple[np.ndarray, np.ndarray]
"""Two arrays of rows of equal length, the better one first."""


def same_bands(hashes: np.ndarray, usable: np.ndarray) -> Iterator[Pairs]:
    """Pairs of usable rows whose hashes have a band of 16 bits in common. hashes (N,) uint64, usable (N,) bool."""
    rows = np.flatnonzero(usable)
    bands = hashes[rows].view(np.uint16).reshape(-1, BANDS)
    for band in bands.T:
        order = np.argsort(band, kind="stable")
        values = band[order]
        yield from _runs(rows[order], np.searchsorted(values, values, side="right"))


def same_moments(taken: np.ndarray, seconds: float) -> Iterator[Pairs]:
    """Pairs of rows that were taken within so many seconds. taken (N,) float64, NaN: not known."""
    rows = np.flatnonzero(~np.isnan(taken))
    order = rows[np.argsort(taken[rows], kind="stable")]
    times = taken[order]
    yield from _runs(order, np.searchsorted(times, times + seconds, side="right"))


def _runs(order: np.ndarray, ends: np.ndarray) -> Iterator[Pairs]:
    """Every row with those after it in order, up to its end and to AT_MOST of them; the better row first."""
    active = np.arange(len(order))
    for step in range(1, AT_MOST + 1):
        active = active[active + step < ends[active]]
        if not len(active):
            return
        a, b = order[active], order[active + step]
        yield np.minimum(a, b), np.maximum(a, b)


def same_cells(
    vectors: Callable[[np.ndarray], np.ndarray],
    scale: EmbeddingScale,
    hashes: np.ndarray,
    usable: np.ndarray,
    bits: int,
) -> Iterator[Pairs]:
    """Pairs of usable rows in one cell of the vectors' space whose hashes differ in at most so many bits.

    vectors gives (R, D) float32 of rows. The cells' centres are pictures of the scale's sample, because these differ:
    among centres taken at random a crowd of like pictures would have many, and fall apart.
    """
    basis = _widest_axes(scale.vectors)
    centres = scale.vectors[: max(1, int(usable.sum()) // CELL_MEMBERS)] @ basis
    rows = np.flatnonzero(usable)
    width = min(CELLS_OF_EACH, len(centres))
    lengths = (centres**2).sum(axis=1) / 2
    cells = np.empty((len(rows), width), np.int32)
    for start in range(0, len(rows), BLOCK):
        block = vectors(rows[start : start + BLOCK])
        farness = lengths - (centred(block, scale.mean) @ basis) @ centres.T
        nearest = np.argpartition(farness, width - 1, axis=1)[:, :width]
        nearest[~np.any(block, axis=1)] = -1  # no vector, no cell
        cells[start : start + BLOCK] = nearest
    flat = cells.ravel()
    order = np.argsort(flat, kind="stable")  # stable: within a cell the rows stay best first
    borders = np.searchsorted(flat[order], np.arange(len(centres) + 1))
    for begin, end in itertools.pairwise(borders):
        yield from _near_hashes(rows[order[begin:end] // width], hashes, bits)


def _widest_axes(vectors: np.ndarray) -> np.ndarray:
    """(D, A): the axes along which (S, D) vectors spread most, A at most AXES."""
    _, axes = np.linalg.eigh(vectors.T @ vectors)
    return np.ascontiguousarray(axes[:, ::-1][:, :AXES])


def _near_hashes(rows: np.ndarray, hashes: np.ndarray, bits: int) -> Iterator[Pairs]:
    """Pairs of rows, which are best first, whose hashes are near; each row with at most AT_MOST better ones."""
    looks = hashes[rows]
    for start in range(0, len(rows), 512):
        stop = min(start + 512, len(rows))
        first = max(0, start - WINDOW)
        near = np.bitwise_count(looks[start:stop, None] ^ looks[None, first:stop]) <= bits
        worse, better = np.nonzero(near)
        later = better + first < worse + start
        worse, better = worse[later], better[later]
        if len(worse) > AT_MOST:
            place = np.arange(len(worse)) - np.searchsorted(worse, worse)
            worse, better = worse[place < AT_MOST], better[place < AT_MOST]
        yield rows[better + first], rows[worse + start]
