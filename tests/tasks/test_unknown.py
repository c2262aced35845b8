from __future__ import annotations

import numpy as np
import pytest

from clipwright.tasks.background import BACKGROUND_CAPTIONS
from clipwright.tasks.unknown import CUT, standing, unknown_similarity

BACKGROUND = np.random.default_rng(0).normal(0.2, 0.03, (4, 90))
"""Cosines of four pictures with ninety general captions, spread as a model's are."""


def test_a_label_that_stands_out_beats_none_of_these() -> None:
    assert (unknown_similarity(BACKGROUND) < 0.2 + 4 * 0.03).all()


def test_the_nearest_of_wrong_labels_does_not_beat_none_of_these() -> None:
    assert (unknown_similarity(BACKGROUND) > 0.2 + 0.03).all()


def test_none_of_these_lies_at_the_cut_above_the_mean_in_spreads() -> None:
    background = np.array([[0.1, 0.3], [0.4, 0.4]])
    assert unknown_similarity(background, cut=2.0) == pytest.approx(np.array([[0.4], [0.4]]))


def test_each_picture_has_its_own_threshold() -> None:
    together = unknown_similarity(BACKGROUND)
    assert together.shape == (4, 1)
    assert together == pytest.approx(np.concatenate([unknown_similarity(row[None]) for row in BACKGROUND]))


def test_a_model_whose_cosines_lie_elsewhere_gives_the_same_answers() -> None:
    labels = np.random.default_rng(1).normal(0.24, 0.05, (4, 30))
    moved = unknown_similarity(BACKGROUND * 0.3 - 0.5)
    assert ((labels > unknown_similarity(BACKGROUND)) == (labels * 0.3 - 0.5 > moved)).all()


def test_standing_is_above_the_cut_where_none_of_these_is_beaten() -> None:
    labels = np.random.default_rng(1).normal(0.24, 0.05, (4, 30))
    assert ((standing(labels, BACKGROUND) > CUT) == (labels > unknown_similarity(BACKGROUND))).all()


def test_general_captions_are_many_and_each_is_there_once() -> None:
    assert len(set(BACKGROUND_CAPTIONS)) == len(BACKGROUND_CAPTIONS) >= 50
