from __future__ import annotations

import math

import numpy as np
import pytest

from clipwright.errors import DimensionError
from clipwright.tasks.zero_shot import average_templates, label_probabilities, similarity_matrix


def test_probabilities_are_the_softmax_of_scaled_cosines() -> None:
    expected = [math.exp(2 * 0.3), math.exp(2 * 0.1), math.exp(2 * -0.4)]
    probabilities = label_probabilities(np.array([[0.3, 0.1, -0.4]], np.float32), 2.0)
    assert probabilities[0] == pytest.approx([value / sum(expected) for value in expected], rel=1e-6)


@pytest.mark.parametrize("scale", [1.0, 100.0, 1e6])
def test_probabilities_of_a_row_sum_to_one(scale: float) -> None:
    similarities = np.random.default_rng(0).uniform(-1, 1, (50, 20)).astype(np.float32)
    assert np.allclose(label_probabilities(similarities, scale).sum(axis=1), 1, atol=1e-6)


def test_probabilities_stay_numbers_where_logits_are_huge() -> None:
    probabilities = label_probabilities(np.array([[1e6, 1e6, -1e6]], np.float32), 100.0)
    assert probabilities.tolist() == [[0.5, 0.5, 0.0]]


def test_the_same_amount_on_every_cosine_changes_no_probability() -> None:
    similarities = np.array([[0.31, 0.22, 0.27]])
    assert np.allclose(label_probabilities(similarities, 100.0), label_probabilities(similarities + 0.5, 100.0))


def test_probabilities_are_single_precision() -> None:
    assert label_probabilities(np.zeros((2, 3)), 100.0).dtype == np.float32


def test_similarities_are_cosines_of_every_pair() -> None:
    images, texts = np.array([[1, 0], [0, 1]], np.float32), np.array([[0.6, 0.8], [1, 0], [-1, 0]], np.float32)
    assert np.allclose(similarity_matrix(images, texts), [[0.6, 1, -1], [0.8, 0, 0]])


def test_vectors_of_two_models_are_not_compared() -> None:
    with pytest.raises(DimensionError, match="images have 512 numbers each and texts 768"):
        similarity_matrix(np.zeros((1, 512)), np.zeros((1, 768)))


def test_templates_are_averaged_and_have_length_one_again() -> None:
    first, second = [1, 0, 0], [0, 1, 0]
    averaged = average_templates(np.array([[first, second]], np.float32))
    assert averaged == pytest.approx(np.array([[math.sqrt(0.5), math.sqrt(0.5), 0]]), abs=1e-6)


def test_one_template_is_its_own_average() -> None:
    vectors = np.array([[[0.6, 0.8]], [[0, -1]]], np.float32)
    assert average_templates(vectors) == pytest.approx(vectors[:, 0])
