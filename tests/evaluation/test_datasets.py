from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipwright.errors import DatasetError
from clipwright.evaluation.datasets import CaptionedImages, LabelledImages, open_dataset, read_class_names
from tests.training.data import COLOURS, IMAGE, write_captions, write_labels


def write_columns(path: Path, **columns: list[Any]) -> Path:
    """A Parquet file of pictures that cannot be read, with these columns beside them and no metadata."""
    count = len(next(iter(columns.values()), [None]))
    images = pa.array([{"bytes": b"", "path": None}] * count, IMAGE)
    pq.write_table(pa.table({"image": images, **{name: pa.array(values) for name, values in columns.items()}}), path)
    return path


def labelled(path: Path, **options: Any) -> LabelledImages:
    dataset = open_dataset(path, **options)
    assert isinstance(dataset, LabelledImages)
    return dataset


def captioned(path: Path) -> CaptionedImages:
    dataset = open_dataset(path)
    assert isinstance(dataset, CaptionedImages)
    return dataset


# What a file holds


def test_labels_come_with_the_names_in_the_metadata(tmp_path: Path) -> None:
    dataset = labelled(write_labels(tmp_path / "val.parquet", 8))
    assert dataset.class_names == list(COLOURS)
    assert dataset.labels.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert dataset.name == f"{tmp_path.name}/val"


def test_names_that_are_given_count_more_than_the_metadata(tmp_path: Path) -> None:
    dataset = labelled(write_labels(tmp_path / "a.parquet"), class_names=["rot", "grün", "blau", "grau"])
    assert dataset.class_names == ["rot", "grün", "blau", "grau"]


def test_captions_come_as_lists(tmp_path: Path) -> None:
    assert captioned(write_captions(tmp_path / "a.parquet", 4)).captions[1] == ["a green square", "something green"]


def test_one_caption_a_row_is_a_list_of_one(tmp_path: Path) -> None:
    assert captioned(write_columns(tmp_path / "a.parquet", caption=["a", "b"])).captions == [["a"], ["b"]]


def test_captions_go_before_labels(tmp_path: Path) -> None:
    path = write_columns(tmp_path / "a.parquet", caption=["a", "b"], label=[0, 1])
    assert isinstance(open_dataset(path), CaptionedImages)


def test_rows_without_a_caption_are_left_out(tmp_path: Path) -> None:
    path = write_columns(tmp_path / "a.parquet", captions=[["a", "", None], None, [], ["b"], [""]])
    dataset = captioned(path)
    assert (dataset.rows.tolist(), dataset.captions) == ([0, 3], [["a"], ["b"]])


# Which rows


def test_a_limit_takes_rows_evenly_from_first_to_last(tmp_path: Path) -> None:
    dataset = labelled(write_labels(tmp_path / "a.parquet", 41), limit=5)
    assert dataset.rows.tolist() == [0, 10, 20, 30, 40]
    assert dataset.labels.tolist() == [row % 4 for row in dataset.rows]


def test_a_limit_above_the_count_takes_all(tmp_path: Path) -> None:
    assert len(labelled(write_labels(tmp_path / "a.parquet", 8), limit=9).rows) == 8


def test_held_out_rows_are_those_that_training_leaves_alone(tmp_path: Path) -> None:
    assert labelled(write_labels(tmp_path / "a.parquet", 17), hold_out=5).rows.tolist() == [4, 9, 14]


def test_a_limit_counts_among_the_rows_held_out(tmp_path: Path) -> None:
    assert labelled(write_labels(tmp_path / "a.parquet", 60), hold_out=5, limit=3).rows.tolist() == [4, 29, 59]


# What is refused


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"label": [0, 1]}, "no class names in its metadata; give them with --labels FILE.json"),
        ({"text": ["a", "b"]}, r"no column .*'label'; its columns: image \(struct\), text \(string\); rename"),
        ({"caption": ["", None]}, "no rows to measure on"),
        ({"label": []}, "no rows to measure on"),
    ],
)
def test_a_file_that_says_too_little_is_refused(tmp_path: Path, columns: dict[str, list[Any]], complaint: str) -> None:
    with pytest.raises(DatasetError, match=complaint):
        open_dataset(write_columns(tmp_path / "a.parquet", **columns))


@pytest.mark.parametrize("labels", [[0, 2], [-1, 0], [None, 0]])
def test_labels_beyond_the_names_are_refused(tmp_path: Path, labels: list[int | None]) -> None:
    with pytest.raises(DatasetError, match=r"labels reach from .* but 2 names are given"):
        open_dataset(write_columns(tmp_path / "a.parquet", label=labels), class_names=["cat", "dog"])


def test_pictures_without_labels_and_captions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="has no column 'captions', 'caption' or 'label'"):
        open_dataset(write_columns(tmp_path / "a.parquet", size=[1]), class_names=["cat", "dog"])


# Class names


@pytest.mark.parametrize(
    "table",
    [
        ["Egyptian cat", "goldfish"],
        {"n02124075": "Egyptian cat", "n01443537": "goldfish"},
        {"n02124075": ["Egyptian cat"], "n01443537": ["goldfish", "Carassius auratus"]},
    ],
    ids=["list", "names", "synonyms"],
)
def test_class_names_are_read_from_a_list_or_a_table(tmp_path: Path, table: object) -> None:
    (tmp_path / "names.json").write_text(json.dumps(table))
    assert read_class_names(tmp_path / "names.json") == ["Egyptian cat", "goldfish"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_class_names_may_begin_with_a_mark(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "names.json").write_text('["Kätzchen"]', encoding=encoding)
    assert read_class_names(tmp_path / "names.json") == ["Kätzchen"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("cat, dog", "cannot be read as JSON"),
        ('"cat"', "must be a list of class names, or a table of them"),
        ("[]", "must be a list of class names, or a table of them"),
        ("{}", "must be a list of class names, or a table of them"),
        ('["cat", ""]', "has '' where a class name belongs"),
        ('{"n1": ["cat"], "n2": []}', r"has \[\] where a class name belongs"),
        ('["cat", null]', "has None where a class name belongs"),
    ],
)
def test_what_holds_no_class_names_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "names.json").write_text(text)
    with pytest.raises(DatasetError, match=complaint):
        read_class_names(tmp_path / "names.json")


def test_a_missing_file_of_class_names_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"names\.json.* cannot be read"):
        read_class_names(tmp_path / "names.json")
