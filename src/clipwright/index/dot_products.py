"""Dot products of many stored vectors with a few float32 ones, as fast as memory gives the rows."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numkong import PackedMatrix

_LOW = 2048.0
"""What the rest of a float32 after float16 is multiplied by, so that it is no subnormal of float16."""
_ROWS_A_THREAD = 16_384
"""Fewer are not worth a thread."""
_JOINED = 4


def dot_products(matrix: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """(L, R) float32 of a matrix (R, D) float16 with vectors (L, D) float32 of length 1, to about 1e-7.

    The vectors keep their precision: each is taken as the sum of two of float16. A row's products do not depend on
    the rows around it.
    """
    import numkong

    high = vectors.astype(np.float16)
    low = ((vectors - high) * _LOW).astype(np.float16)
    products = _rows_by_columns(matrix, numkong.dots_pack(np.concatenate([high, low])), 2 * len(vectors), np.float32)
    return np.ascontiguousarray((products[:, : len(vectors)] + products[:, len(vectors) :] / np.float32(_LOW)).T)


def integer_dot_products(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """(R,) int32 of a matrix (R, d) int8, contiguous, with a vector (d,) int8.

    Four rows are taken as one of four times the length, and the vector stands in each quarter of it in turn: short
    rows alone are read at less than the memory's speed.
    """
    import numkong

    width, longer = len(vector), len(matrix) // _JOINED
    quarters = np.kron(np.eye(_JOINED, dtype=np.int8), vector)  # (4, 4 d)
    products = np.empty(len(matrix), np.int32)
    joined = matrix[: _JOINED * longer].reshape(longer, _JOINED * width)
    products[: _JOINED * longer] = _rows_by_columns(joined, numkong.dots_pack(quarters), _JOINED, np.int32).reshape(-1)
    products[_JOINED * longer :] = matrix[_JOINED * longer :].astype(np.int32) @ vector.astype(np.int32)
    return products


def _rows_by_columns(matrix: np.ndarray, packed: PackedMatrix, columns: int, dtype: type[np.generic]) -> np.ndarray:
    """(R, columns), on as many threads as there are cores and it is worth."""
    import numkong

    products = np.empty((len(matrix), columns), dtype)
    threads = max(1, min(os.cpu_count() or 1, len(matrix) // _ROWS_A_THREAD))
    if not matrix.size:
        products.fill(0)
        return products
    if threads == 1:
        products[:] = numkong.dots_packed(matrix, packed)
        return products

    def part(number: int) -> None:
        rows = slice(len(matrix) * number // threads, len(matrix) * (number + 1) // threads)
        products[rows] = numkong.dots_packed(matrix[rows], packed)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(part, range(threads)))
    return products
