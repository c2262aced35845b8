from __future__ import annotations

import dataclasses
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipwright.errors import DatasetError
from clipwright.evaluation.datasets import LabelledImages, open_dataset
from clipwright.evaluation.evaluate import evaluate
from tests.support import fake_embedder
from tests.training.data import IMAGE, write_captions, write_labels


def coloured_squares(folder: Path, broken: tuple[int, ...] = ()) -> LabelledImages:
    """Sixteen squares, four of each colour; the fake embedder sees colours and takes unknown words for grey."""
    dataset = open_dataset(write_labels(folder / "colours.parquet", 16, broken))
    assert isinstance(dataset, LabelledImages)
    return dataset


def test_a_model_that_sees_colours_names_every_square(tmp_path: Path) -> None:
    result = evaluate(fake_embedder(), coloured_squares(tmp_path))
    assert (result.dataset, result.images) == (f"{tmp_path.name}/colours", 16)
    assert {name: metric.value for name, metric in result.metrics.items()} == {"top-1": 1.0, "top-5": 1.0}
    assert not result.failures


def test_classes_under_each_others_names_are_missed(tmp_path: Path) -> None:
    dataset = dataclasses.replace(coloured_squares(tmp_path), class_names=["green", "red", "blue", "grey"])
    top = evaluate(fake_embedder(), dataset).metrics["top-1"]
    assert (top.value, top.count) == (0.5, 16)


def test_five_classes_count_as_near_at_most(tmp_path: Path) -> None:
    names = ["red", "green", "blue", "grey", "red one", "red two", "red three", "red four", "red five"]
    dataset = dataclasses.replace(coloured_squares(tmp_path), class_names=names)
    metrics = evaluate(fake_embedder(), dataset).metrics
    assert (metrics["top-1"].value, metrics["top-5"].value) == (0.75, 0.75)  # six classes look red: all tie


def test_the_sentences_of_one_class_are_averaged_with_each_other(tmp_path: Path) -> None:
    templates = ("{}", "a {} square", "{} and blue")
    assert evaluate(fake_embedder(), coloured_squares(tmp_path), templates).metrics["top-1"].value == 1


def test_a_caption_is_found_by_its_picture_and_the_other_way_round(tmp_path: Path) -> None:
    result = evaluate(fake_embedder(), open_dataset(write_captions(tmp_path / "a.parquet", 4)))
    assert {name: (metric.value, metric.count) for name, metric in result.metrics.items()} == {
        "image-to-text R@1": (1, 4),
        "text-to-image R@1": (1, 8),
        "image-to-text R@5": (1, 4),
        "text-to-image R@5": (1, 8),
        "image-to-text R@10": (1, 4),
        "text-to-image R@10": (1, 8),
    }


def test_equal_captions_of_other_pictures_count_against_retrieval(tmp_path: Path) -> None:
    """Of eight squares two have each colour: their captions are the same, and a tie is no hit."""
    metrics = evaluate(fake_embedder(), open_dataset(write_captions(tmp_path / "a.parquet", 8))).metrics
    assert metrics["image-to-text R@1"].value == 0
    assert metrics["image-to-text R@5"].value == 1


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_a_broken_picture_is_left_out_and_listed(tmp_path: Path, batch_size: int) -> None:
    result = evaluate(fake_embedder(), coloured_squares(tmp_path, broken=(0, 7)), batch_size=batch_size)
    assert [failure.source for failure in result.failures] == ["colours.parquet row 0", "colours.parquet row 7"]
    assert (result.images, result.metrics["top-1"].count, result.metrics["top-1"].value) == (14, 14, 1)


def test_captions_of_a_broken_picture_are_left_out_with_it(tmp_path: Path) -> None:
    table = pq.read_table(write_captions(tmp_path / "whole.parquet", 4))
    images = [{**image, "bytes": b""} if row == 1 else image for row, image in enumerate(table["image"].to_pylist())]
    pq.write_table(table.set_column(0, "image", pa.array(images, IMAGE)), tmp_path / "torn.parquet")
    result = evaluate(fake_embedder(), open_dataset(tmp_path / "torn.parquet"))
    found = result.metrics["text-to-image R@1"]
    assert (len(result.failures), found.count, found.value) == (1, 6, 1)


def test_only_broken_pictures_are_an_error_that_shows_the_first(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no picture of .*/colours could be read; the first: "):
        evaluate(fake_embedder(), coloured_squares(tmp_path, broken=tuple(range(16))))


def test_progress_goes_up_to_the_number_of_pictures(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    dataset = coloured_squares(tmp_path, broken=(3,))
    evaluate(fake_embedder(), dataset, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 16) for done in range(1, 17)]
