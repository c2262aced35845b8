"""Dot products of many stored vectors with a few float32 ones, as fast as memory gives the rows."""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numkong import PackedMatrix

_LOW = 2048.0
"""What the rest of a float32 after float16 is multiplied by, so that it is no subnormal of float16."""
_BYTES_A_THREAD = 16 << 20
"""Less is not worth a thread."""
_BLOCK_BYTES = 2 << 20
_JOINED = 16
_MOST_FEW = 16


def dot_products(matrix: np.ndarray, vectors: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """(L, R) float32 of a matrix (R, D) float16, or of these rows of it, with vectors (L, D) float32 of length 1.

    To about 1e-7: the vectors keep their precision, each taken as the sum of two of float16. A row's products do not
    depend on the rows around it.
    """
    import numkong

    high = vectors.astype(np.float16)
    low = ((vectors - high) * _LOW).astype(np.float16)
    packed = numkong.dots_pack(np.concatenate([high, low]))
    products = _rows_by_columns(matrix, packed, 2 * len(vectors), np.float32, rows)
    return np.ascontiguousarray((products[:, : len(vectors)] + products[:, len(vectors) :] / np.float32(_LOW)).T)


def integer_dot_products(matrix: np.ndarray, vector: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """(R,) int32 of a matrix (R, d) int8, contiguous, or of these rows of it, with a vector (d,) int8.

    All rows: sixteen are taken as one of sixteen times the length, and the vector stands in each part of it in turn.
    Short rows one by one are read at half the speed that memory has.
    """
    import numkong

    if rows is not None:
        return _rows_by_columns(matrix, numkong.dots_pack(vector[None]), 1, np.int32, rows)[:, 0]
    width, longer = len(vector), len(matrix) // _JOINED
    parts = np.kron(np.eye(_JOINED, dtype=np.int8), vector)  # (16, 16 d)
    products = np.empty(len(matrix), np.int32)
    joined = matrix[: _JOINED * longer].reshape(longer, _JOINED * width)
    products[: _JOINED * longer] = _rows_by_columns(joined, numkong.dots_pack(parts), _JOINED, np.int32).reshape(-1)
    products[_JOINED * longer :] = matrix[_JOINED * longer :].astype(np.int32) @ vector.astype(np.int32)
    return products


def products_of_few(few: np.ndarray, many: np.ndarray) -> np.ndarray:
    """(F, M) float32 of float32 rows (F, D) with float32 rows (M, D), some thousands.

    Of a handful not by BLAS: on cores that are busy, its threads wait for each other longer than the work takes. Then
    a row's products do not depend on the rows around it either.
    """
    if len(few) > _MOST_FEW:
        return np.asarray(few @ many.T)
    products = np.empty((len(few), len(many)), np.float32)
    for row, of_row in zip(few, products, strict=True):
        np.einsum("md,d->m", many, row, out=of_row)
    return products


def _rows_by_columns(
    matrix: np.ndarray,
    packed: PackedMatrix,
    columns: int,
    dtype: type[np.generic],
    chosen: np.ndarray | None = None,
) -> np.ndarray:
    """(R, columns), block by block, each small enough for a cache, on as many threads as is worth it."""
    import numkong

    count = len(matrix) if chosen is None else len(chosen)
    products = np.empty((count, columns), dtype)
    if not count or not matrix.shape[1]:
        products.fill(0)
        return products
    row_bytes = matrix.shape[1] * matrix.itemsize
    step = max(1, _BLOCK_BYTES // row_bytes)
    threads = max(1, min(os.cpu_count() or 1, count * row_bytes // _BYTES_A_THREAD))

    def part(number: int) -> None:
        end = count * (number + 1) // threads
        for start in range(count * number // threads, end, step):
            block = slice(start, min(start + step, end))
            rows = matrix[block] if chosen is None else matrix.take(chosen[block], axis=0)
            products[block] = numkong.dots_packed(rows, packed)

    if threads == 1:
        part(0)
    else:
        list(_pool().map(part, range(threads)))
    return products


@functools.cache
def _pool() -> ThreadPoolExecutor:
    """Threads that stay: starting two takes a tenth of a search through a million photographs."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="products")
