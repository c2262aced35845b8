"""Which sample makes which place is a pure function of seed and step."""

from __future__ import annotations

import collections

import numpy as np
import pytest

from clipwright.errors import RecipeError
from clipwright.training.plan import Plan
from clipwright.training.sources import FileImages, OwnCaptions, Source


def source(count: int, weight: float) -> Source:
    return Source(FileImages([]), OwnCaptions([]), np.arange(count), weight)


def test_a_step_is_the_same_whatever_was_asked_before() -> None:
    sources = [source(10, 1.0), source(30, 3.0)]
    walked = Plan(sources, 8, seed=5)
    for step in range(20):
        walked.places(step)
    fresh = Plan(sources, 8, seed=5)
    assert [fresh.places(step) for step in (17, 3)] == [walked.places(step) for step in (17, 3)]
    assert fresh.random(17, 2).random() == walked.random(17, 2).random()


def test_another_seed_gives_another_order() -> None:
    assert Plan([source(100, 1.0)], 8, seed=1).places(0) != Plan([source(100, 1.0)], 8, seed=2).places(0)


def test_sources_share_every_batch_by_weight() -> None:
    plan = Plan([source(10, 1.0), source(30, 3.0), source(9, 0.5)], 9, seed=0)
    for step in range(5):
        assert collections.Counter(number for number, _ in plan.places(step)) == {0: 2, 1: 6, 2: 1}


def test_every_sample_is_used_once_before_any_is_used_twice() -> None:
    plan = Plan([source(12, 1.0)], 8, seed=0)
    drawn = [position for step in range(3) for _, position in plan.places(step)]
    assert sorted(drawn[:12]) == sorted(drawn[12:]) == list(range(12))
    assert drawn[:12] != drawn[12:]


def test_a_weight_too_small_for_one_place_is_refused() -> None:
    with pytest.raises(RecipeError, match="source 2 has too small a weight"):
        Plan([source(10, 1.0), source(10, 0.001)], 8, seed=0)
