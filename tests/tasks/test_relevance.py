"""Relevance: a standing on no model's scale."""

from __future__ import annotations

import math

import numpy as np
import pytest

from clipwright.tasks.relevance import (
    CollectionStatistics,
    QueryStatistics,
    adaptive_cut,
    background_statistics,
    collection_statistics,
    query_statistics,
    relevance,
)

RANDOM = np.random.default_rng(0)


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)


PICTURES = unit(RANDOM.normal(size=(400, 24)))
CAPTIONS = unit(RANDOM.normal(size=(90, 24)))
QUERY = unit(RANDOM.normal(size=24))


def of(pictures: np.ndarray, captions: np.ndarray, query: np.ndarray, share: float = 0.0) -> np.ndarray:
    backgrounds = background_statistics(pictures, captions)
    collection = collection_statistics(pictures, backgrounds)
    similarities = pictures @ query
    return relevance(similarities, backgrounds, collection, query_statistics(similarities, share))


def test_the_background_is_kept_as_its_mean_and_the_mean_of_its_five_highest() -> None:
    kept = background_statistics(PICTURES.astype(np.float16), CAPTIONS)
    similarities = np.sort(PICTURES @ CAPTIONS.T, axis=1)
    expected = np.stack([similarities.mean(axis=1), similarities[:, -5:].mean(axis=1)], axis=1)
    assert kept.dtype == np.float32
    assert kept == pytest.approx(expected, abs=1e-3)
    assert background_statistics(PICTURES[:0], CAPTIONS).shape == (0, 2)


def test_relevance_does_not_depend_on_the_scale_of_a_models_cosines() -> None:
    """A part that all pictures and texts share presses a model's cosines together and moves them up."""

    def pressed(rows: np.ndarray) -> np.ndarray:
        return unit(np.hstack([0.5 * rows, np.full((*rows.shape[:-1], 1), 0.8)]))

    for share in (0.0, 0.5, 1.0):
        as_they_are = of(PICTURES, CAPTIONS, QUERY, share)
        other = of(pressed(PICTURES), pressed(CAPTIONS), pressed(QUERY), share)
        assert other == pytest.approx(as_they_are, abs=2e-3)
        assert np.ptp(as_they_are) > 0.1


def test_as_near_as_the_best_general_captions_is_even() -> None:
    collection = CollectionStatistics(0.1, 0.3, 0.5, 0.1)
    habits = QueryStatistics(0, 0.1, 0.09, 0.0)
    answers = relevance(np.array([0.1, 0.25, 0.3]), np.array([[0.1, 0.25]] * 3), collection, habits)
    assert answers[1] == pytest.approx(0.5)
    assert answers[0] < 0.1
    assert answers[2] > 0.6


def test_one_and_a_half_spreads_above_the_usual_pair_is_even_for_a_picture() -> None:
    collection = CollectionStatistics(0.1, 0.3, 0.5, 0.1)
    habits = QueryStatistics(1000, 0.5, 0.1, 1.0)
    answers = relevance(np.array([0.5, 0.65, 0.8]), np.array([[0.0, 0.9]] * 3), collection, habits)
    assert answers == pytest.approx([1 / (1 + math.exp(4)), 0.5, 1 / (1 + math.exp(-4))])


def test_a_query_that_is_near_to_everything_counts_less_in_a_large_collection() -> None:
    collection = CollectionStatistics(0.1, 0.3, 0.5, 0.1)
    backgrounds = np.array([[0.1, 0.3]])
    few, many = (
        relevance(np.array([0.3]), backgrounds, collection, QueryStatistics(count, 0.25, 0.09, 0.0))[0]
        for count in (10, 4096)
    )
    assert many < few < 0.5


def test_relevance_rises_with_similarity_on_the_same_picture() -> None:
    collection = collection_statistics(PICTURES, background_statistics(PICTURES, CAPTIONS))
    similarities = np.linspace(-1, 1, 201)
    for share in (0.0, 0.3, 1.0):
        answers = relevance(
            similarities, np.array([[0.0, 0.3]] * 201), collection, query_statistics(PICTURES @ QUERY, share)
        )
        assert (np.diff(answers) >= 0).all()
        assert 0 <= answers.min() < 0.01
        assert 0.99 < answers.max() <= 1


def test_collections_of_one_and_two_and_of_the_same_picture_have_finite_answers() -> None:
    for pictures in (PICTURES[:1], PICTURES[:2], np.repeat(PICTURES[:1], 50, axis=0)):
        for share in (0.0, 0.5, 1.0):
            answers = of(pictures, CAPTIONS, QUERY, share)
            assert np.isfinite(answers).all()
            assert ((answers >= 0) & (answers <= 1)).all()


def test_the_statistics_of_pictures_leave_out_a_picture_with_itself() -> None:
    collection = collection_statistics(PICTURES[:3], background_statistics(PICTURES[:3], CAPTIONS))
    pairs = [float(PICTURES[i] @ PICTURES[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert collection.pictures_mean == pytest.approx(np.mean(pairs), abs=1e-6)


def test_what_stands_out_among_few_does_not_among_many() -> None:
    assert adaptive_cut(0.8, 20) < 0.8
    assert adaptive_cut(0.8, 1_000_000) == math.inf
    assert adaptive_cut(0.3, 2) == math.inf
    assert 0.1 < adaptive_cut(0.999, 1_000_000) < 0.999
    assert math.isfinite(adaptive_cut(1.0, 1))


def test_the_cut_follows_the_best() -> None:
    assert adaptive_cut(0.99, 1000) < adaptive_cut(0.9999, 1000)
