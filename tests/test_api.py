"""What a program calls."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import clipwright
from clipwright.api import stream_classifications
from clipwright.errors import CheckpointError, ClipwrightError, Failure, ImageError, LabelError, UnknownModelError
from clipwright.inputs.images import ImageSource
from clipwright.tasks.unknown import UNKNOWN
from tests.support import FAKE_COLOURS, fake_embedder

SQUARES = [np.full((12, 16, 3), colour, np.uint8) for colour in FAKE_COLOURS.values()]
COLOURS = list(FAKE_COLOURS)


def best(classification: clipwright.Classification) -> str:
    return classification.labels[0].label


# classify


def test_each_picture_gets_the_label_that_fits() -> None:
    assert [best(result) for result in clipwright.classify(fake_embedder(), SQUARES, COLOURS)] == COLOURS


def test_labels_come_the_likeliest_first_and_sum_to_one() -> None:
    (result,) = clipwright.classify(fake_embedder(), SQUARES[:1], COLOURS)
    probabilities = [score.probability for score in result.labels]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1, abs=1e-6)
    assert {score.label for score in result.labels} == set(COLOURS)


def test_similarity_of_a_label_is_its_cosine() -> None:
    fake = fake_embedder()
    (result,) = clipwright.classify(fake, SQUARES[:1], COLOURS, ["{}"])
    cosines = dict(zip(COLOURS, clipwright.similarity(fake, SQUARES[:1], COLOURS)[0], strict=True))
    assert {score.label: score.similarity for score in result.labels} == pytest.approx(cosines, abs=1e-6)


def test_none_of_these_wins_where_no_label_fits() -> None:
    (result,) = clipwright.classify(fake_embedder(), SQUARES[:1], ["green", "blue"], unknown=True)
    assert best(result) == UNKNOWN == "none of these"
    assert len(result.labels) == 3


def test_none_of_these_loses_where_a_label_fits() -> None:
    results = clipwright.classify(fake_embedder(), SQUARES, COLOURS, unknown=True)
    assert [best(result) for result in results] == COLOURS


def test_one_label_is_enough_with_unknown() -> None:
    results = clipwright.classify(fake_embedder(), SQUARES, ["red"], unknown=True)
    assert [best(result) for result in results] == ["red", UNKNOWN, UNKNOWN]


def test_labels_lose_the_white_space_around_them() -> None:
    (result,) = clipwright.classify(fake_embedder(), SQUARES[:1], [" red ", "blue\n"])
    assert best(result) == "red"


def test_a_picture_that_cannot_be_read_has_its_failure_instead(tmp_path: Path) -> None:
    sources: list[ImageSource] = [SQUARES[0], tmp_path / "lost.jpg", SQUARES[2]]
    first, lost, last = clipwright.classify(fake_embedder(), sources, COLOURS)
    assert (best(first), best(last)) == ("red", "blue")
    assert lost == clipwright.Classification(
        tmp_path / "lost.jpg", (), Failure(tmp_path / "lost.jpg", "missing", "no such file")
    )


def test_sources_come_back_as_they_were_given(tmp_path: Path) -> None:
    name = str(tmp_path / "lost.jpg")
    assert [result.source for result in clipwright.classify(fake_embedder(), [name], COLOURS)] == [name]


@pytest.mark.parametrize(
    ("labels", "templates"),
    [([], None), (["red"], None), (["red", ""], None), (["red", "red "], None), (["red", "blue"], ["a photo"])],
)
def test_labels_and_templates_that_mean_nothing_are_refused(labels: list[str], templates: list[str] | None) -> None:
    with pytest.raises(LabelError):
        clipwright.classify(fake_embedder(), SQUARES, labels, templates)


def test_labels_in_one_string_are_refused() -> None:
    with pytest.raises(LabelError, match="not one string"):
        clipwright.classify(fake_embedder(), SQUARES, "red, blue")


def test_one_picture_without_a_list_is_refused() -> None:
    with pytest.raises(ClipwrightError, match="a single one too"):
        clipwright.classify(fake_embedder(), "cat.jpg", COLOURS)


def test_labels_are_checked_before_the_first_picture_is_asked_for() -> None:
    with pytest.raises(LabelError):
        stream_classifications(fake_embedder(), iter(SQUARES), ["red"])


def test_pictures_may_come_without_end() -> None:
    def endless() -> Iterator[np.ndarray]:
        yield from itertools.cycle(SQUARES)

    stream = stream_classifications(fake_embedder(), endless(), COLOURS, batch_size=2)
    assert [best(result) for result in itertools.islice(stream, 7)] == [*COLOURS, *COLOURS, "red"]


# similarity


def test_similarity_is_a_matrix_of_cosines() -> None:
    fake = fake_embedder()
    matrix = clipwright.similarity(fake, SQUARES, COLOURS)
    assert matrix.shape == (3, 3)
    assert matrix.dtype == np.float32
    assert np.allclose(np.diag(matrix), 1, atol=1e-2)
    assert np.abs(matrix).max() <= 1 + 1e-6


def test_similarity_of_nothing_is_an_empty_matrix() -> None:
    assert clipwright.similarity(fake_embedder(), [], COLOURS).shape == (0, 3)
    assert clipwright.similarity(fake_embedder(), SQUARES, []).shape == (3, 0)


def test_similarity_names_a_picture_that_it_cannot_read(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"lost\.jpg: no such file"):
        clipwright.similarity(fake_embedder(), [tmp_path / "lost.jpg"], COLOURS)


# load


def test_a_model_is_loaded_from_its_path(tiny_model: Path) -> None:
    embedder = clipwright.load(tiny_model)
    assert clipwright.load(str(tiny_model)).space_id == embedder.space_id
    assert embedder.embed_dim == embedder.embed_texts(["a cat"]).shape[1] == 16


def test_an_unknown_model_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownModelError, match="did you mean 'starter'"):
        clipwright.load("startr")


def test_a_file_that_is_no_model_is_refused(photo: Path) -> None:
    with pytest.raises(CheckpointError, match=r"rocket\.jpg' cannot be read as a model"):
        clipwright.load(photo)
