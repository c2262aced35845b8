"""The figures of a parity report: what is the same is perfect, what is damaged shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clipwright.embedding.embedder import Embedder, unit_rows
from clipwright.errors import ClipwrightError, DatasetError, DimensionError
from clipwright.evaluation import parity
from clipwright.evaluation.parity import (
    LABELS,
    Vectors,
    compare_numbers,
    compare_variants,
    made_up_set,
    measure,
    photograph_set,
)
from tests.support import fake_embedder
from tests.training.data import write_captions, write_labels


def random_vectors(seed: int = 0, photographs: int = 50) -> Vectors:
    random = np.random.default_rng(seed)
    rows = {"images": photographs, "texts": 30, "labels": 7}
    return Vectors(**{name: unit_rows(random.standard_normal((count, 16)) + 3) for name, count in rows.items()})


def test_a_variant_is_as_near_to_itself_as_can_be() -> None:
    vectors = random_vectors()
    found = compare_variants(vectors, vectors)
    for nearness, count in ((found.photographs, 50), (found.texts, 30)):
        assert nearness is not None
        assert (nearness.count, nearness.largest_difference) == (count, 0)
        assert nearness.cosine_mean == pytest.approx(1)
        assert nearness.cosine_least == pytest.approx(1)
    assert (found.labels_agree, found.recall_at_10) == (1, 1)


def test_a_damaged_variant_shows_in_every_figure() -> None:
    vectors = random_vectors()
    other = random_vectors(seed=1)
    found = compare_variants(vectors, other)
    assert found.photographs.cosine_mean is not None
    assert found.photographs.cosine_least is not None
    assert found.labels_agree is not None
    assert found.recall_at_10 is not None
    assert found.photographs.largest_difference > 0.1
    assert abs(found.photographs.cosine_mean) < 0.3
    assert found.photographs.cosine_least < 0
    assert found.labels_agree < 0.6
    assert found.recall_at_10 < 0.5
    raw = (vectors.images * other.images).sum(axis=1).mean()
    assert raw > 0.8  # what the mean that all share would have hidden


def test_one_damaged_photograph_shows_in_the_least_cosine() -> None:
    vectors = random_vectors()
    images = vectors.images.copy()
    images[7] = images[8]
    found = compare_variants(vectors, replace(vectors, images=images)).photographs
    assert found.cosine_mean is not None
    assert found.cosine_least is not None
    assert found.cosine_mean > 0.95
    assert found.cosine_least < 0.8


def test_a_small_example_comes_out_as_by_hand() -> None:
    """Three photographs on axes of four; the mean of the reference is (1, 1, 1, 0) / 3.

    The variant has the third where the second is. Centred, (0, 0, 1, 0) is (-1, -1, 2, 0) / 3 and (0, 1, 0, 0) is
    (-1, 2, -1, 0) / 3: their cosine is (1 - 2 - 2) / 6 = -1/2. Of the labels on the axes, two of three stay.
    """
    axes = np.eye(4, dtype=np.float32)
    reference = Vectors(images=axes[:3], texts=axes[:2], labels=axes)
    found = compare_variants(reference, replace(reference, images=axes[[0, 1, 1]]))
    assert found.photographs.count == 3
    assert found.photographs.largest_difference == 1
    assert found.photographs.cosine_mean == pytest.approx((1 + 1 - 0.5) / 3)
    assert found.photographs.cosine_least == pytest.approx(-0.5)
    assert found.labels_agree == pytest.approx(2 / 3)
    assert found.recall_at_10 is None  # any ten photographs are all three


def test_recall_is_the_share_of_the_ten_nearest_that_are_found_again() -> None:
    """Twenty photographs on an arc, one text at its start: the ten nearest are the first. Three of them go away."""
    angles = np.linspace(0, 1, 20)
    arc = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    reference = Vectors(images=arc, texts=arc[:1], labels=arc[:2])
    moved = arc.copy()
    moved[[0, 4, 9]] = (-1, 0)
    assert compare_variants(reference, replace(reference, images=moved)).recall_at_10 == pytest.approx(0.7)


def test_photographs_that_are_all_the_same_have_no_cosine() -> None:
    vectors = random_vectors()
    same = replace(vectors, images=np.repeat(vectors.images[:1], 12, axis=0))
    found = compare_variants(same, same).photographs
    assert (found.largest_difference, found.cosine_mean, found.cosine_least) == (0, None, None)


def test_of_what_are_no_photographs_only_numbers_are_compared() -> None:
    found = compare_numbers(random_vectors(), random_vectors(seed=1))
    assert found.photographs.largest_difference > 0.1
    assert found.texts is not None
    assert found.photographs.cosine_mean is found.texts.cosine_least is found.labels_agree is found.recall_at_10 is None


def test_vectors_of_another_set_are_refused() -> None:
    with pytest.raises(DimensionError, match="not of the same set"):
        compare_variants(random_vectors(), random_vectors(photographs=49))


def test_a_variant_that_gives_no_numbers_is_refused() -> None:
    vectors = random_vectors()
    with pytest.raises(ClipwrightError, match="no numbers"):
        compare_variants(vectors, replace(vectors, texts=vectors.texts * np.nan))


# On a set


def dimmed() -> Embedder:
    """The fake, seeing everything a little darker."""
    fake = fake_embedder()
    features = fake._backend.image_features
    fake._backend.image_features = lambda pixels: features(pixels) - [0.3, 0, 0, 0]  # type: ignore[method-assign]
    return fake


def test_photographs_of_a_parquet_are_searched_with_their_captions(tmp_path: Path) -> None:
    measured = photograph_set(write_captions(tmp_path / "colours.parquet", 16))
    assert (measured.name, measured.count) == (f"{tmp_path.name}/colours", 16)
    assert len(measured.texts) >= 16
    assert measured.texts != LABELS
    found, failures = measure(fake_embedder, fake_embedder, measured, has_tokenizer=True)
    assert (found.photographs.count, found.labels_agree, failures) == (16, 1, ())
    shifted, _ = measure(fake_embedder, dimmed, measured, has_tokenizer=True)
    assert shifted.photographs.largest_difference > 0.01
    assert shifted.texts == found.texts


def test_photographs_without_captions_are_searched_with_the_labels(tmp_path: Path) -> None:
    measured = photograph_set(write_labels(tmp_path / "colours.parquet", 16, broken=(3,)))
    assert measured.texts == LABELS
    found, (failure,) = measure(fake_embedder, fake_embedder, measured, has_tokenizer=True)
    assert found.photographs.count == 15
    assert (failure.source, failure.code) == ("colours.parquet row 3", "truncated")


def test_photographs_of_a_folder_are_found(photo: Path) -> None:
    measured = photograph_set(photo.parent)
    assert measured.name == str(photo.parent)
    assert photo in [measured.source(number) for number in range(measured.count)]
    assert measured.texts == LABELS


def test_of_many_photographs_some_are_taken_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "MOST_PHOTOGRAPHS", 3)
    for number in range(9):
        (tmp_path / f"{number}.jpg").touch()
    measured = photograph_set(tmp_path)
    assert [measured.source(number).name for number in range(measured.count)] == ["0.jpg", "4.jpg", "8.jpg"]


def test_without_a_tokenizer_only_photographs_are_compared(photo: Path) -> None:
    found, _ = measure(fake_embedder, fake_embedder, photograph_set(photo.parent), has_tokenizer=False)
    assert found.photographs.count > 1
    assert (found.texts, found.labels_agree, found.recall_at_10) == (None, None, None)


def test_made_up_pictures_tell_of_differences_only() -> None:
    found, _ = measure(fake_embedder, dimmed, made_up_set(), has_tokenizer=True)
    assert found.photographs.count == made_up_set().count
    assert found.photographs.largest_difference > 0.01
    assert found.photographs.cosine_mean is None


def test_progress_ends_at_its_total() -> None:
    told: list[tuple[int, int]] = []
    measure(fake_embedder, fake_embedder, made_up_set(), has_tokenizer=True, progress=lambda *step: told.append(step))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (told[-1][1],) * 2


def test_where_no_photograph_can_be_read_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is a folder without pictures"):
        photograph_set(tmp_path)
    (tmp_path / "a.jpg").touch()
    with pytest.raises(DatasetError, match=r"no picture of .* could be read; the first: "):
        measure(fake_embedder, fake_embedder, photograph_set(tmp_path), has_tokenizer=True)
