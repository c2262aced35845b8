from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from clipwright.index.folding import fold_near_identical
from clipwright.index.likeness import EmbeddingScale
from tests.index.collections_of_photos import Scenes, Shot, vectors_of


@pytest.fixture
def scenes() -> Scenes:
    return Scenes()


@pytest.fixture
def scale(scenes: Scenes) -> EmbeddingScale:
    found = EmbeddingScale.of(vectors_of(others := [scenes.shot() for _ in range(200)]), hashes(others))
    assert found is not None
    return found


def hashes(shots: list[Shot]) -> np.ndarray:
    return np.array([shot.look for shot in shots], np.uint64)


def test_near_identical_hits_fold_into_the_first_of_them(scenes: Scenes, scale: EmbeddingScale) -> None:
    dog, cat = scenes.shot(), scenes.shot()
    hits = [dog, cat, scenes.near(dog, 9), scenes.near(cat, 3), scenes.near(dog, 1), scenes.shot()]
    folds = fold_near_identical([40, 10, 30, 20, 50, 60], hashes(hits), vectors_of(hits), scale)
    assert folds == [(40, (30, 50)), (10, (20,)), (60, ())]


def test_a_hit_is_near_to_the_one_it_folds_into_not_to_another_folded_one(
    scenes: Scenes, scale: EmbeddingScale
) -> None:
    first = scenes.shot()
    second = scenes.near(first, 10)
    third = scenes.near(second, 14)
    assert (first.look ^ third.look).bit_count() > 16
    assert fold_near_identical(
        [0, 1, 2], hashes([first, second, third]), vectors_of([first, second, third]), scale
    ) == [
        (0, (1,)),
        (2, ()),
    ]


def test_flat_pictures_and_those_without_a_hash_are_not_folded(scenes: Scenes, scale: EmbeddingScale) -> None:
    sky = dataclasses.replace(scenes.shot(), look=0)
    assert fold_near_identical([1, 2], hashes([sky, sky]), vectors_of([sky, sky]), scale) == [(1, ()), (2, ())]


def test_near_hashes_alone_do_not_fold_where_vectors_differ(scenes: Scenes, scale: EmbeddingScale) -> None:
    one, other = scenes.shot(), scenes.shot()
    hits = [one, dataclasses.replace(other, look=scenes.near(one, 2).look)]
    assert fold_near_identical([1, 2], hashes(hits), vectors_of(hits), scale) == [(1, ()), (2, ())]


def test_without_a_scale_only_copies_are_folded(scenes: Scenes) -> None:
    shot = scenes.shot()
    hits = [shot, scenes.near(shot, 3), scenes.near(shot, 9)]
    assert fold_near_identical([7, 8, 9], hashes(hits), vectors_of(hits), None) == [(7, (8,)), (9, ())]


def test_no_hits_give_no_folds(scale: EmbeddingScale) -> None:
    assert fold_near_identical([], np.empty(0, np.uint64), np.empty((0, 64), np.float32), scale) == []


def test_too_few_different_pictures_make_no_scale(scenes: Scenes) -> None:
    shot = scenes.shot()
    burst = [scenes.near(shot, 3) for _ in range(300)]
    assert EmbeddingScale.of(vectors_of(burst), hashes(burst)) is None
