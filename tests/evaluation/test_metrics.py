from __future__ import annotations

import numpy as np
import pytest

from clipwright.evaluation.metrics import retrieval_hits, share, top_k_hits

NAN = float("nan")


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_intervals_are_those_of_newcombe(hits: int, count: int, low: float, high: float) -> None:
    """Newcombe 1998, table I, method 3 (Wilson without continuity correction)."""
    measured = share(np.arange(count) < hits)
    assert measured.count == count
    assert measured.value == pytest.approx(hits / count)
    assert [measured.low, measured.high] == pytest.approx([low, high], abs=5e-5)


def test_an_interval_stays_between_nought_and_one() -> None:
    for hits in ([True] * 3, [False] * 3, [True]):
        measured = share(np.array(hits))
        assert 0 <= measured.low <= measured.high <= 1


def test_a_label_is_a_hit_where_fewer_than_k_classes_are_as_similar() -> None:
    similarities = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.9, 0.5, 0.1]])
    labels = np.array([0, 1, 2])
    assert top_k_hits(similarities, labels, 1).tolist() == [True, False, False]
    assert top_k_hits(similarities, labels, 2).tolist() == [True, True, False]
    assert top_k_hits(similarities, labels, 3).tolist() == [True, True, True]


def test_a_tie_counts_against_the_label() -> None:
    similarities = np.array([[0.5, 0.5, 0.1]])
    assert not top_k_hits(similarities, np.array([0]), 1)[0]
    assert top_k_hits(similarities, np.array([0]), 2)[0]


@pytest.mark.parametrize("row", [[NAN, NAN, NAN], [NAN, 0.5, 0.1], [0.5, NAN, 0.1]])
def test_what_is_not_a_number_counts_against_the_label(row: list[float]) -> None:
    assert not top_k_hits(np.array([row]), np.array([0]), 1)[0]


def test_an_image_is_a_hit_where_any_of_its_captions_is_near() -> None:
    similarities = np.array([[0.1, 0.9, 0.8, 0.2], [0.9, 0.8, 0.7, 0.6]])
    owners = np.array([0, 0, 1, 1])  # the second image's own captions stand third and fourth
    assert retrieval_hits(similarities, owners, 1)[0].tolist() == [True, False]
    assert retrieval_hits(similarities, owners, 2)[0].tolist() == [True, False]
    assert retrieval_hits(similarities, owners, 3)[0].tolist() == [True, True]


def test_a_text_is_a_hit_where_its_image_is_near() -> None:
    similarities = np.array([[0.9, 0.1, 0.3], [0.5, 0.6, 0.2], [0.4, 0.7, 0.1]])
    owners = np.array([0, 1, 2])
    assert retrieval_hits(similarities, owners, 1)[1].tolist() == [True, False, False]
    assert retrieval_hits(similarities, owners, 2)[1].tolist() == [True, True, False]
    assert retrieval_hits(similarities, owners, 3)[1].tolist() == [True, True, True]


def test_ties_count_against_retrieval_both_ways() -> None:
    to_text, to_image = retrieval_hits(np.ones((2, 2)), np.array([0, 1]), 1)
    assert not to_text.any()
    assert not to_image.any()


def test_captions_of_one_image_do_not_stand_in_each_others_way() -> None:
    to_text, _ = retrieval_hits(np.array([[0.5, 0.5, 0.5, 0.1]]), np.array([0, 0, 0, 0]), 1)
    assert to_text.all()


def test_a_model_that_gives_no_numbers_finds_nothing() -> None:
    to_text, to_image = retrieval_hits(np.full((12, 24), NAN), np.repeat(np.arange(12), 2), 10)
    assert not to_text.any()
    assert not to_image.any()
