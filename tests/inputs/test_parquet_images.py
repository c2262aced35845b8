from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipwright.errors import DatasetError, MissingExtraError
from clipwright.inputs.images import open_image
from clipwright.inputs.parquet_images import ParquetImages, held_out
from tests.inputs.pictures import encoded, quadrants, shows_quadrants

PICTURE = encoded(quadrants(), "PNG")


def write_table(path: Path, columns: dict[str, Any], row_group: int | None = None, metadata: Any = None) -> Path:
    table = pa.table(columns)
    if metadata is not None:
        table = table.replace_schema_metadata({"huggingface": metadata})
    pq.write_table(table, path, row_group_size=row_group)
    return path


def images(*contents: bytes | None) -> list[dict[str, Any]]:
    return [{"bytes": content, "path": None} for content in contents]


def test_the_picture_of_a_row_is_its_bytes(tmp_path: Path) -> None:
    table = ParquetImages(write_table(tmp_path / "a.parquet", {"image": images(PICTURE, b"xyz")}))
    assert len(table) == 2
    assert shows_quadrants(open_image(table.image(0)))
    assert table.image(1) == b"xyz"


def test_rows_are_found_across_row_groups(tmp_path: Path) -> None:
    contents = [str(i).encode() for i in range(10)]
    table = ParquetImages(write_table(tmp_path / "a.parquet", {"image": images(*contents)}, row_group=3))
    assert [table.image(row) for row in range(10)] == contents


def test_a_row_without_a_picture_gives_no_bytes(tmp_path: Path) -> None:
    table = ParquetImages(write_table(tmp_path / "a.parquet", {"image": [*images(None, b"x"), None]}))
    assert [table.image(row) for row in range(3)] == [b"", b"x", b""]


def test_labels_are_those_of_the_rows(tmp_path: Path) -> None:
    table = ParquetImages(write_table(tmp_path / "a.parquet", {"image": images(b"a", b"b"), "label": [3, 1]}))
    assert (table.has_labels, table.labels(), table.has_captions) == (True, [3, 1], False)


def test_lists_of_captions_are_read(tmp_path: Path) -> None:
    columns = {"image": images(b"a", b"b"), "captions": [["a cat", "a pet"], ["a dog"]]}
    table = ParquetImages(write_table(tmp_path / "a.parquet", columns))
    assert (table.has_captions, table.captions()) == (True, [["a cat", "a pet"], ["a dog"]])


def test_a_single_caption_is_a_list_of_one(tmp_path: Path) -> None:
    table = ParquetImages(write_table(tmp_path / "a.parquet", {"image": images(b"a"), "caption": ["a cat"]}))
    assert (table.has_captions, table.captions()) == (True, [["a cat"]])


def test_missing_labels_and_captions_are_refused_when_asked_for(tmp_path: Path) -> None:
    table = ParquetImages(write_table(tmp_path / "a.parquet", {"image": images(b"a")}))
    assert not table.has_labels
    with pytest.raises(DatasetError, match=r"no column 'captions', 'caption' or 'label'; its columns: image \(struct"):
        table.labels()
    with pytest.raises(DatasetError, match=r"no column 'captions' or 'caption'; its columns: image \(struct"):
        table.captions()


def test_a_row_is_named_by_file_and_number(tmp_path: Path) -> None:
    assert (
        ParquetImages(write_table(tmp_path / "cats.parquet", {"image": images(b"a")})).name(0) == "cats.parquet row 0"
    )


def test_class_names_come_from_the_metadata_of_hugging_face(tmp_path: Path) -> None:
    metadata = json.dumps({"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}})
    path = write_table(tmp_path / "a.parquet", {"image": images(b"a"), "label": [1]}, metadata=metadata)
    assert ParquetImages(path).class_names == ["cat", "dog"]


@pytest.mark.parametrize("metadata", [None, "no json", "[]", '{"info": {"features": {"label": {}}}}', '{"info": null}'])
def test_other_metadata_give_no_class_names(metadata: str | None, tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", {"image": images(b"a"), "label": [1]}, metadata=metadata)
    assert ParquetImages(path).class_names is None


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        ({"picture": images(b"a"), "label": [1]}, "picture (struct), label (int64)"),
        ({"image": [b"bytes alone"]}, "image (binary)"),
        ({"image": ["cat.jpg"], "text": ["a cat"]}, "image (string), text (string)"),
        ({"image": [{"path": "cat.jpg"}]}, "image (struct)"),
    ],
)
def test_a_table_without_pictures_is_refused_with_its_columns(
    columns: dict[str, Any], shown: str, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match=f"no column 'image' of pictures.*; its columns: {re.escape(shown)}$"):
        ParquetImages(write_table(tmp_path / "a.parquet", columns))


@pytest.mark.parametrize("name", ["caption", "captions"])
@pytest.mark.parametrize(("value", "texts"), [("a cat", ["a cat"]), (["a cat", "a pet"], ["a cat", "a pet"])])
def test_captions_are_texts_or_lists_of_texts_whatever_their_column_is_called(
    name: str, value: str | list[str], texts: list[str], tmp_path: Path
) -> None:
    """A text in the column 'captions' is no list of letters."""
    table = ParquetImages(write_table(tmp_path / "a.parquet", {"image": images(b"a"), name: [value]}))
    assert table.captions() == [texts]


@pytest.mark.parametrize("value", [3, b"a cat", [1, 2], {"raw": "a cat"}, [["a cat"]]])
def test_captions_that_are_no_texts_are_refused_with_the_columns(value: Any, tmp_path: Path) -> None:
    table = ParquetImages(write_table(tmp_path / "a.parquet", {"image": images(b"a"), "caption": [value]}))
    with pytest.raises(
        DatasetError, match=r"column 'caption' of .* holds no texts; its columns: image \(struct\), cap"
    ):
        table.captions()


@pytest.mark.parametrize("value", ["cat", 1.5, True, [1]])
def test_labels_that_are_no_whole_numbers_are_refused_with_the_columns(value: Any, tmp_path: Path) -> None:
    table = ParquetImages(write_table(tmp_path / "a.parquet", {"image": images(b"a"), "label": [value]}))
    with pytest.raises(
        DatasetError, match=r"'label' of .* holds no whole numbers; its columns: image \(struct\), label"
    ):
        table.labels()


def test_whole_labels_may_be_kept_as_floats(tmp_path: Path) -> None:
    table = ParquetImages(write_table(tmp_path / "a.parquet", {"image": images(b"a", b"b"), "label": [2.0, None]}))
    assert table.labels() == [2, -1]


def test_a_picture_without_bytes_is_the_file_that_its_path_names(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(PICTURE)
    rows = [{"bytes": None, "path": "cat.png"}, {"bytes": b"", "path": "cat.png"}]
    table = ParquetImages(write_table(tmp_path / "a.parquet", {"image": rows}))
    assert shows_quadrants(open_image(table.image(0)))
    assert table.image(1) == b""


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no data set at .*nothing\.parquet"):
        ParquetImages(tmp_path / "nothing.parquet")


@pytest.mark.parametrize("damage", ["text", "empty", "cut off", "folder"])
def test_a_file_that_is_no_parquet_is_refused(damage: str, tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", {"image": images(PICTURE * 100)})
    if damage == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes({"text": b"no table", "empty": b"", "cut off": path.read_bytes()[:-50]}[damage])
    with pytest.raises(DatasetError, match="cannot be read as Parquet"):
        ParquetImages(path)


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"clipwright\[data\]"):
        ParquetImages(tmp_path / "a.parquet")


def test_the_last_of_every_so_many_rows_is_held_out() -> None:
    np.testing.assert_array_equal(held_out(7, 3), [False, False, True, False, False, True, False])
