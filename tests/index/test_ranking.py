"""Ranking over a table in memory: order, limits, logic, cuts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipwright.errors import QueryError
from clipwright.index import ranking
from clipwright.index.query import Query
from clipwright.index.query_parser import parse_query
from clipwright.index.ranking import CANDIDATES, Ranked, rank
from tests.index.fake_table import FakeTable

DIM = 32


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)


def some(count: int, seed: int) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(count, DIM)))


CAPTIONS = some(90, 1)
TABLE = FakeTable(some(3000, 0), CAPTIONS)
WORDS = dict(zip("abcd", some(4, 2), strict=True))


def vectors_of(query: Query) -> np.ndarray:
    return np.stack([WORDS[str(blend)] for blend in query.blends])


def ask(text: str, table: FakeTable = TABLE, limit: int = CANDIDATES, **options: Any) -> list[Ranked]:
    query = parse_query(text)
    return rank(query, vectors_of(query), table, limit=limit, **options)


def relevances(text: str) -> np.ndarray:
    """Of all rows of a table small enough that all come back."""
    table = FakeTable(TABLE.vectors[:CANDIDATES], CAPTIONS)
    return np.array([row.relevance for row in sorted(ask(text, table), key=lambda row: row.index)])


def test_one_blend_is_ordered_by_exact_similarity() -> None:
    exact = TABLE.vectors.astype(np.float64) @ WORDS["a"].astype(np.float64)
    ranked = ask("a", limit=20)
    found = [row.index for row in ranked]
    assert len(set(found)) == 20
    assert exact[found] == pytest.approx(np.sort(exact)[::-1][:20], abs=1e-6)  # two may be as near as rounding
    assert [row.similarity for row in ranked] == pytest.approx(exact[found], abs=1e-6)


@pytest.mark.parametrize("text", ["a", "a AND NOT b", "a OR b"])
@pytest.mark.parametrize("options", [{}, {"threshold": 0.3}, {"adaptive": True}])
def test_asking_for_more_never_changes_the_first(text: str, options: dict[str, Any]) -> None:
    all_of_them = ask(text, **options)
    for limit in (1, 10, 500):
        assert ask(text, limit=limit, **options) == all_of_them[:limit]


@pytest.mark.parametrize("text", ["a", "a AND b"])
def test_a_relevance_that_was_told_keeps_its_photograph_as_a_threshold(text: str) -> None:
    """Also where the last bit comes out otherwise the next time, as it may on some processors."""
    best, *_ = ask(text)
    assert ask(text, threshold=best.relevance + 5e-7) == [best]


class CoarseTable(FakeTable):
    """One whose approximate search gives rows in some order, with wrong similarities."""

    def nearest(
        self, vector: np.ndarray, count: int, among: np.ndarray | None = None, *, exact: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        rows, similarities = super().nearest(vector, count, among, exact=exact)
        return rows[::-1], np.zeros_like(similarities)


def test_candidates_of_an_approximate_search_are_ranked_exactly() -> None:
    assert ask("a", CoarseTable(TABLE.vectors, CAPTIONS)) == ask("a")


def test_exact_is_handed_on() -> None:
    ask("a", exact=True)
    assert TABLE.asked_exactly
    ask("a")
    assert not TABLE.asked_exactly


@pytest.mark.parametrize("text", ["a", "a AND b", "NOT a"])
def test_equal_photographs_are_ordered_by_id(text: str) -> None:
    ids = np.random.default_rng(3).permutation(5000) + 1
    table = FakeTable(np.repeat(some(1, 4), 5000, axis=0), CAPTIONS, ids)
    shown = [int(table.ids[row.index]) for row in ask(text, table, limit=50)]
    assert shown == sorted(shown)
    assert text == "a" or shown == list(range(1, 51))


@pytest.mark.parametrize("text", ["a", "NOT a", "a OR b"])
def test_only_rows_of_the_mask_are_found(text: str) -> None:
    among = np.zeros(len(TABLE.ids), bool)
    among[[5, 99, 2000]] = True
    assert {row.index for row in ask(text, among=among)} == {5, 99, 2000}
    assert ask(text, among=np.zeros_like(among)) == []


def test_an_empty_index_has_no_answers() -> None:
    assert ask("a OR b", FakeTable(np.zeros((0, DIM)), CAPTIONS)) == []


def test_logic_is_the_smaller_the_larger_and_the_rest_to_one() -> None:
    a, b = relevances("a"), relevances("b")
    assert relevances("a AND b") == pytest.approx(np.minimum(a, b), abs=1e-6)
    assert relevances("a OR b") == pytest.approx(np.maximum(a, b), abs=1e-6)
    assert relevances("NOT a") == pytest.approx(1 - a, abs=1e-6)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("NOT (a AND b)", "NOT a OR NOT b"),
        ("NOT (a OR b)", "NOT a AND NOT b"),
        ("a AND (b OR c)", "a AND b OR a AND c"),
        ("NOT NOT a", "a"),
    ],
)
def test_laws_of_logic_hold(one: str, other: str) -> None:
    assert relevances(one) == pytest.approx(relevances(other), abs=1e-6)


_logic = st.recursive(
    st.sampled_from("abcd"),
    lambda inner: st.one_of(
        inner.map("NOT ({})".format), st.builds("({}) AND ({})".format, inner, inner),
        st.builds("({}) OR ({})".format, inner, inner),
    ),
    max_leaves=6,
)  # fmt: skip


@given(_logic, _logic)
@settings(max_examples=25)
def test_de_morgan_holds_for_any_two_queries(one: str, other: str) -> None:
    assert relevances(f"NOT (({one}) AND ({other}))") == pytest.approx(
        relevances(f"NOT ({one}) OR NOT ({other})"), abs=1e-6
    )


@given(_logic, _logic)
@settings(max_examples=25)
def test_and_never_raises_and_or_never_lowers_a_relevance(one: str, other: str) -> None:
    alone = relevances(one)
    assert (relevances(f"({one}) AND ({other})") <= alone + 1e-6).all()
    assert (relevances(f"({one}) OR ({other})") >= alone - 1e-6).all()


def test_logic_is_ordered_by_relevance_and_tells_the_similarity_that_decided() -> None:
    similarities = TABLE.vectors @ np.stack([WORDS["a"], WORDS["b"]]).T
    a, b = ask("a"), ask("b")
    seen = {row.index: row.relevance for row in a}, {row.index: row.relevance for row in b}
    ranked = ask("a AND b")
    assert [row.relevance for row in ranked] == sorted((row.relevance for row in ranked), reverse=True)
    checked = 0
    for row in ranked:
        if row.index in seen[0] and row.index in seen[1]:
            decided = 0 if seen[0][row.index] <= seen[1][row.index] else 1
            assert row.similarity == pytest.approx(similarities[row.index, decided], abs=1e-6)
            checked += 1
    assert checked > 50


def test_logic_looks_at_blocks_and_finds_what_a_whole_look_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ask("a AND NOT b")
    monkeypatch.setattr(ranking, "_BLOCK_ROWS", 128)
    table = FakeTable(TABLE.vectors, CAPTIONS)
    in_blocks = ask("a AND NOT b", table)
    assert table.most_rows == 128
    assert [row.index for row in in_blocks] == [row.index for row in whole]
    among = np.arange(3000) % 3 == 0
    few = ask("a AND NOT b", table, among=among)
    assert len(few) == 1000
    assert all(among[row.index] for row in few)


def test_a_threshold_drops_what_is_less_relevant() -> None:
    kept = ask("a OR b", threshold=0.6)
    assert kept == [row for row in ask("a OR b") if row.relevance >= 0.6]
    assert ask("a", threshold=1.0) == []


def test_adaptive_finds_nothing_where_nothing_stands_out_and_only_what_does_where_something_does() -> None:
    of_captions = unit(np.tile(CAPTIONS, (20, 1)) + some(1800, 5))
    table = FakeTable(of_captions, CAPTIONS)
    assert ask("a", table, adaptive=True) == []
    assert ask("a AND b", table, adaptive=True) == []
    shown = unit(WORDS["a"] + some(40, 7))
    table = FakeTable(np.concatenate([of_captions, shown]), CAPTIONS)
    found = {row.index for row in ask("a", table, adaptive=True)}
    assert found <= set(range(1800, 1840))
    assert len(found) >= 35
    assert {row.index for row in ask("a AND NOT b", table, adaptive=True)} <= set(range(1800, 1840))


@pytest.mark.parametrize("limit", [0, -1, CANDIDATES + 1])
def test_a_limit_beyond_the_candidates_is_refused(limit: int) -> None:
    with pytest.raises(QueryError, match="1 to 1,000 results"):
        ask("a", limit=limit)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_that_is_no_relevance_is_refused(threshold: float) -> None:
    with pytest.raises(QueryError, match="relevance from 0 to 1"):
        ask("a", threshold=threshold)
