"""Dot products with stored vectors are exact, and sketches say what may be near."""

from __future__ import annotations

import numpy as np
import pytest

from clipwright.index import dot_products as module
from clipwright.index.dot_products import dot_products, integer_dot_products
from clipwright.index.sketch import Projection
from tests.index.collection import unit


@pytest.mark.parametrize("embed_dim", [1, 7, 24, 256, 512, 768])
def test_products_have_the_precision_of_float32(embed_dim: int) -> None:
    generator = np.random.default_rng(embed_dim)
    matrix = unit(generator.standard_normal((300, embed_dim))).astype(np.float16)
    vectors = unit(generator.standard_normal((3, embed_dim)))
    exact = vectors.astype(np.float64) @ matrix.astype(np.float64).T
    assert np.abs(dot_products(matrix, vectors) - exact).max() < 3e-7


def test_a_rows_products_do_not_depend_on_the_rows_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    matrix = unit(generator.standard_normal((1000, 512))).astype(np.float16)
    vectors = unit(generator.standard_normal((2, 512)))
    whole = dot_products(matrix, vectors)
    chosen = generator.permutation(1000)[:37]
    assert np.array_equal(dot_products(matrix[chosen], vectors), whole[:, chosen])
    assert np.array_equal(dot_products(matrix, vectors, chosen), whole[:, chosen])
    monkeypatch.setattr(module, "_BYTES_A_THREAD", 15_000)
    monkeypatch.setattr(module, "_BLOCK_BYTES", 4_000)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    assert np.array_equal(dot_products(matrix, vectors), whole)
    assert np.array_equal(dot_products(matrix, vectors, chosen), whole[:, chosen])


def test_no_rows_have_no_products() -> None:
    assert dot_products(np.empty((0, 16), np.float16), np.ones((2, 16), np.float32)).shape == (2, 0)


@pytest.mark.parametrize("embed_dim", [3, 96, 300])
def test_sketches_rank_nearly_as_vectors_do(embed_dim: int) -> None:
    generator = np.random.default_rng(2)
    spread = np.arange(1, embed_dim + 1) ** -0.5
    vectors = unit(generator.standard_normal((5000, embed_dim)) * spread + 0.1)
    projection = Projection.of(vectors[::3])
    heads, tails = projection.sketch(vectors.astype(np.float16))
    for query in unit(generator.standard_normal((20, embed_dim)) * spread):
        head, tail = projection.of_query(query)
        scores = integer_dot_products(heads, head) + integer_dot_products(tails, tail)
        chosen = np.arange(4999, 0, -7)
        assert np.array_equal(
            integer_dot_products(heads, head, chosen) + integer_dot_products(tails, tail, chosen), scores[chosen]
        )
        assert np.array_equal(scores, heads.astype(np.int32) @ head + tails.astype(np.int32) @ tail)
        ranks = np.argsort(np.argsort(-scores))
        assert np.median(ranks[np.argsort(-(vectors @ query))[:10]]) < 100


def test_equal_vectors_have_a_sketch() -> None:
    same = np.repeat(unit(np.ones((1, 8))), 50, axis=0)
    projection = Projection.of(same)
    assert np.isfinite(projection.directions).all()
    heads, _ = projection.sketch(same)
    assert (heads == heads[0]).all()
