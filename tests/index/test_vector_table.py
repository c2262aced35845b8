"""The table of a space: nearest photographs as comparing all would find them, filters, samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clipwright.errors import DimensionError, IndexFileError
from clipwright.index import derived, vector_table
from clipwright.index.derived import refresh
from clipwright.index.filters import Filters
from clipwright.index.vector_table import VectorTable
from clipwright.tasks.relevance import background_statistics
from tests.index.collection import EMBED_DIM, SPACE_ID, Collection, unit


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return Collection(tmp_path)


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes at which a thousand photographs are many."""
    monkeypatch.setattr(derived, "EXACT_ROWS", 300)
    monkeypatch.setattr(derived, "_REFRESH_ROWS", 5)
    monkeypatch.setattr(derived, "_READER_ROWS", 50)
    monkeypatch.setattr(derived, "_LEAST_TAIL_ROWS", 200)
    monkeypatch.setattr(vector_table, "_GATHERED_ROWS", 160)
    monkeypatch.setattr(vector_table, "_COMPARED_ROWS", 140)
    monkeypatch.setattr(vector_table, "CANDIDATES", 60)


def opened(collection: Collection) -> VectorTable:
    return VectorTable.open(collection.database, SPACE_ID)


def found(
    table: VectorTable, vector: np.ndarray, count: int, among: np.ndarray | None = None, exact: bool = False
) -> list[int]:
    indices, similarities = table.nearest(vector, count, among, exact=exact)
    assert np.allclose(similarities, (table.rows(indices) @ vector), atol=1e-6)
    return [int(id_) for id_ in table.ids[indices]]


def test_a_space_without_photographs_finds_nothing(collection: Collection) -> None:
    table = opened(collection)
    assert len(table) == 0
    assert found(table, collection.query(), 5) == []
    assert table.rows(table.sample_indices()).shape == (0, EMBED_DIM)
    assert table.background(np.array([], np.int64)).shape == (0, 2)
    assert table.similarities(collection.query()[None]).shape == (1, 0)
    mask = table.matching(Filters(camera="x"))
    assert mask is not None
    assert mask.shape == (0,)


def test_one_photograph_is_found(collection: Collection) -> None:
    (only,) = collection.add(1)
    table = opened(collection)
    assert found(table, collection.query(), 5) == [only]
    assert table.rows(table.sample_indices()).shape == (1, EMBED_DIM)


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("count", [1, 10, 100, 700])
def test_exact_search_is_comparing_all(collection: Collection, count: int) -> None:
    collection.add(600)
    refresh(collection.database, SPACE_ID)
    collection.add(40)
    collection.remove([3, 77, 601])
    table = opened(collection)
    assert len(table) == 637
    for _ in range(5):
        query = collection.query()
        assert found(table, query, count, exact=True) == collection.nearest(query, count)


@pytest.mark.usefixtures("small_limits")
def test_sketches_find_nearly_all_of_the_nearest(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    collection.add(1500)
    refresh(collection.database, SPACE_ID)
    collection.add(30)
    collection.remove([5])
    table = opened(collection)
    compared: list[int] = []
    similarities = table.similarities

    def counted(vectors: np.ndarray, indices: np.ndarray | None = None) -> np.ndarray:
        compared.append(len(table) if indices is None else len(indices))
        return similarities(vectors, indices)

    monkeypatch.setattr(table, "similarities", counted)
    hits = 0
    for _ in range(30):
        query = collection.query()
        hits += len(set(found(table, query, 10)) & set(collection.nearest(query, 10)))
    assert hits >= 0.98 * 300
    assert max(compared) < 300


@pytest.mark.usefixtures("small_limits")
def test_asking_for_more_never_changes_the_first_ones(collection: Collection) -> None:
    collection.add(900)
    same = collection.add(40)  # equal pictures are usual
    with collection.changing() as change:
        for id_ in same:
            collection._put(change, id_, collection.vectors[same[0]], 1)
    refresh(collection.database, SPACE_ID)
    table = opened(collection)
    masks = [None, np.arange(len(table)) % 2 == 0, np.arange(len(table)) % 9 == 0]
    for query in (collection.query(), collection.vectors[same[0]].astype(np.float32)):
        for among in masks:
            most = found(table, query, 60, among)
            for count in (1, 2, 5, 39, 41, 59):
                assert found(table, query, count, among) == most[:count]


def test_equal_photographs_come_by_id(collection: Collection) -> None:
    ids = collection.add(9)
    with collection.changing() as change:
        for id_ in reversed(ids):
            collection._put(change, id_, collection.vectors[ids[0]], 1)
    collection.replace([ids[4]])
    table = opened(collection)
    expected = [id_ for id_ in ids if id_ != ids[4]]
    assert found(table, collection.vectors[ids[0]].astype(np.float32), 8) == expected


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("every", [2, 10, 1000])
def test_only_photographs_of_the_mask_are_found(collection: Collection, every: int) -> None:
    collection.add(900)
    refresh(collection.database, SPACE_ID)
    collection.add(20)
    table = opened(collection)
    among = np.arange(len(table)) % every == 0
    kept = set(table.ids[among].tolist())
    query = collection.query()
    expected = [id_ for id_ in collection.nearest(query, 1000) if id_ in kept][:10]
    if len(kept) <= 160:
        assert found(table, query, 10, among) == expected
    else:
        assert len(set(found(table, query, 10, among)) & set(expected)) >= 9
    assert found(table, query, 10, among, exact=True) == expected
    assert found(table, query, 10, np.zeros(len(table), bool)) == []


def test_rows_similarities_and_statistics_are_of_the_photographs_asked_for(collection: Collection) -> None:
    collection.add(300)
    refresh(collection.database, SPACE_ID)
    collection.add(10)
    collection.remove([1, 300, 305])
    table = opened(collection)
    indices = np.array([306, 0, 17, 17, 298])
    vectors = np.stack([collection.vectors[id_] for id_ in table.ids.tolist()]).astype(np.float32)
    queries = unit(np.random.default_rng(0).standard_normal((3, EMBED_DIM)))
    assert np.array_equal(table.rows(indices), vectors[indices])
    assert np.allclose(table.similarities(queries, indices), queries @ vectors[indices].T, atol=1e-6)
    assert np.allclose(table.similarities(queries), queries @ vectors.T, atol=1e-6)
    statistics = background_statistics(vectors, collection.captions)
    assert np.allclose(table.background(None), statistics, atol=1e-6)
    assert np.allclose(table.background(indices), statistics[indices], atol=1e-6)


def test_a_sample_is_spread_over_the_collection_and_always_the_same(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_table, "_SAMPLE_ROWS", 20)
    collection.add(400)
    table = opened(collection)
    sample = table.rows(table.sample_indices())
    again = opened(collection)
    positions = [np.flatnonzero((table.rows(np.arange(400)) == row).all(axis=1))[0] for row in sample]
    assert len(sample) == 20
    assert max(np.diff(positions)) <= 22
    assert np.array_equal(sample, again.rows(again.sample_indices()))


@pytest.mark.usefixtures("small_limits")
def test_filters_are_of_the_photographs_as_they_are_now(collection: Collection) -> None:
    facts = [{"camera": "Nikon" if row % 3 else "Canon", "taken": float(row)} for row in range(600)]
    collection.add(600, facts)
    refresh(collection.database, SPACE_ID)
    collection.move(7, b"/elsewhere/moved.jpg")
    collection.add(20, [{"camera": "NIKON Z", "taken": 50.5, "path": b"/elsewhere/%d.jpg" % row} for row in range(20)])
    collection.remove([60, 61, 62])
    table = opened(collection)
    for filters, keeps in (
        (Filters(camera="nikon"), lambda facts: "nikon" in (facts["camera"] or "").lower()),
        (Filters(after=40, before=60), lambda facts: 40 <= facts["taken"] < 60),
        (Filters(path="/elsewhere/*"), lambda facts: facts["path"].startswith(b"/elsewhere/")),
    ):
        mask = table.matching(filters)
        assert mask is not None
        assert sorted(table.ids[mask].tolist()) == sorted(id_ for id_, one in collection.facts.items() if keeps(one))
    assert table.matching(Filters()) is None


def test_a_photograph_without_a_vector_in_the_space_is_not_in_its_table(collection: Collection) -> None:
    first = collection.add(5)
    collection.add_space("other", "another-model")
    second = collection.add(3, space=2)
    assert opened(collection).ids.tolist() == first
    assert VectorTable.open(collection.database, "other").ids.tolist() == second


def test_a_photograph_whose_file_is_displaced_is_not_found_until_it_is_back(collection: Collection) -> None:
    ids = collection.add(300)
    refresh(collection.database, SPACE_ID)
    collection.move(ids[3], b"\0displaced")
    assert ids[3] not in opened(collection).ids
    collection.move(ids[3], b"/photos/back.jpg")
    assert ids[3] in opened(collection).ids


def test_a_model_that_the_index_was_not_made_with_is_refused(collection: Collection) -> None:
    with pytest.raises(IndexFileError, match=r"made with tiny, not with this model; name one .* --model"):
        VectorTable.open(collection.database, "0" * 16)


def test_vectors_and_masks_of_another_size_are_refused(collection: Collection) -> None:
    collection.add(3)
    table = opened(collection)
    with pytest.raises(DimensionError, match="24"):
        table.nearest(np.ones(7, np.float32), 3)
    with pytest.raises(DimensionError, match="mask"):
        table.nearest(collection.query(), 3, np.ones(2, bool))
