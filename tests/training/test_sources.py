"""Every form of training data gives the same kind of pairs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipwright.errors import DatasetError
from clipwright.inputs.images import open_image
from clipwright.training.recipe import SourceRecipe
from clipwright.training.sources import Source, open_source
from tests.training.data import COLOURS, IMAGE, jpeg, write_captions, write_labels, write_tar


def source(folder: Path, kind: Any, path: str, **more: Any) -> Source:
    return open_source(SourceRecipe(kind=kind, path=path, weight=1.0, **more), folder)


def captions_of(opened: Source, row: int, draws: int = 60) -> set[str]:
    return {opened.captions.draw(row, np.random.default_rng(seed)).text for seed in range(draws)}


def test_parquet_with_labels_fills_templates_with_names_from_its_metadata(tmp_path: Path) -> None:
    write_labels(tmp_path / "a.parquet", 8)
    opened = source(tmp_path, "parquet", "a.parquet", templates=("a {} square.", "{}"))
    assert len(opened) == 8
    assert captions_of(opened, 1) == {"a green square.", "green"}
    assert opened.captions.true_names(1) == {"green"}


def test_other_names_of_a_class_are_used_and_known_to_be_true(tmp_path: Path) -> None:
    write_labels(tmp_path / "a.parquet", 8)
    (tmp_path / "names.json").write_text(json.dumps({"grey": ["gray"]}))
    opened = source(tmp_path, "parquet", "a.parquet", templates=("{}",), names="names.json")
    assert captions_of(opened, 3) == {"grey", "gray"}
    assert opened.captions.true_names(3) == {"grey", "gray"}


def test_parquet_with_captions_gives_each_of_them(tmp_path: Path) -> None:
    write_captions(tmp_path / "a.parquet", 4)
    opened = source(tmp_path, "parquet", "a.parquet")
    assert captions_of(opened, 2) == {"a blue square", "something blue"}
    assert opened.captions.true_names(2) == frozenset()


def test_held_out_rows_are_not_trained_on(tmp_path: Path) -> None:
    write_labels(tmp_path / "a.parquet", 12)
    assert source(tmp_path, "parquet", "a.parquet", hold_out=4).rows.tolist() == [0, 1, 2, 4, 5, 6, 8, 9, 10]


def test_tars_are_read_in_order_with_their_captions(tmp_path: Path) -> None:
    red, blue = jpeg(COLOURS["red"], 0), jpeg(COLOURS["blue"], 1)
    write_tar(tmp_path / "0001.tar", {"b.jpg": blue, "b.txt": b"blue thing\n\nblue square"})
    write_tar(tmp_path / "0000.tar", {"a.json": b'{"caption": "red thing"}', "a.jpg": red, "lonely.jpg": red})
    opened = source(tmp_path, "webdataset", "*.tar")
    assert len(opened) == 2
    assert opened.images.image(1) == blue
    assert opened.images.name(0) == "0000.tar/a.jpg"
    assert captions_of(opened, 0) == {"red thing"}
    assert captions_of(opened, 1) == {"blue thing", "blue square"}


def test_tars_with_labels_take_class_names_from_a_list(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"x/1.jpg": jpeg(COLOURS["green"], 0), "x/1.cls": b"1"})
    (tmp_path / "classes.json").write_text(json.dumps(list(COLOURS)))
    opened = source(tmp_path, "webdataset", "a.tar", classes="classes.json", templates=("{}",))
    assert captions_of(opened, 0) == {"green"}


def test_a_folder_pairs_pictures_with_text_files(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(jpeg(COLOURS["red"], 0))
    (tmp_path / "in" / "a.txt").write_text("red\na red square\n")
    (tmp_path / "in" / "untold.jpg").write_bytes(jpeg(COLOURS["red"], 0))
    opened = source(tmp_path, "folder", "in")
    assert len(opened) == 1
    assert captions_of(opened, 0) == {"red", "a red square"}
    assert open_image(opened.images.image(0)).size == (40, 40)


def test_a_csv_joins_the_rows_of_one_image(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(COLOURS["red"], 0))
    (tmp_path / "list.csv").write_text('image,caption\na.jpg,red\na.jpg,"a square, red"\n')
    opened = source(tmp_path, "csv", "list.csv")
    assert len(opened) == 1
    assert captions_of(opened, 0) == {"red", "a square, red"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_a_csv_is_read_whatever_program_saved_it(tmp_path: Path, encoding: str, line_end: str) -> None:
    lines = ["image, caption", "a.jpg, a cat", 'b.jpg, "café, ""number"" 2"', "", 'b.jpg,a 12" pizza', "c.jpg,", ""]
    (tmp_path / "list.csv").write_bytes(line_end.join(lines).encode(encoding))
    opened = source(tmp_path, "csv", "list.csv")
    assert [opened.images.name(row) for row in opened.rows] == [str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg")]
    assert captions_of(opened, 0) == {"a cat"}
    assert captions_of(opened, 1) == {'café, "number" 2', 'a 12" pizza'}


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (
            b"a.jpg,a cat\nb.jpg,a photo, number 1\n",
            "line 3 of .*list.csv' has not the 2 fields of the first line but 3; .* double quotes",
        ),
        (b'a.jpg,"a\ncat"\nb.jpg,a photo, number 1\n', "line 4 of .* but 3"),
        (b"a.jpg,a cat\nb.jpg\n", "line 3 of .* but 1"),
        (b'a.jpg,a cat\nb.jpg,"a dog\nc.jpg,a bird\n', "no CSV from line 3 on: unexpected end of data; are its quotes"),
        (b'a.jpg,a cat\nb.jpg,"Hello" he said\n', "no CSV from line 3 on: ',' expected after"),
        (b"a.jpg,a cat\nb.jpg,caf\xe9\n", "cannot be read as CSV: line 3 is not UTF-8: 0xe9 after 'b.jpg,caf'"),
    ],
)
def test_a_csv_that_would_cut_or_garble_a_caption_is_refused_by_its_line(
    tmp_path: Path, rows: bytes, complaint: str
) -> None:
    (tmp_path / "list.csv").write_bytes(b"image,caption\n" + rows)
    with pytest.raises(DatasetError, match=complaint):
        source(tmp_path, "csv", "list.csv")


def test_the_texts_of_a_folder_are_read_whatever_editor_saved_them_or_named(tmp_path: Path) -> None:
    texts = {"a": "\ufeffred\rred square".encode(), "b": "vélo".encode("utf-16"), "c": "vélo".encode("latin-1")}
    for name, text in texts.items():
        (tmp_path / f"{name}.jpg").write_bytes(jpeg(COLOURS["red"], 0))
        (tmp_path / f"{name}.txt").write_bytes(text)
    opened = source(tmp_path, "folder", ".")
    assert [captions_of(opened, row) for row in opened.rows] == [{"red", "red square"}, {"vélo"}]
    assert opened.broken == (f"{tmp_path / 'c.txt'}: line 1 is not UTF-8: 0xe9 after 'v'; save it as UTF-8",)


def test_a_folder_of_unreadable_texts_alone_says_why_it_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(COLOURS["red"], 0))
    (tmp_path / "a.txt").write_bytes("vélo".encode("latin-1"))
    with pytest.raises(DatasetError, match=r"no pictures with captions; .*a\.txt: line 1 is not UTF-8"):
        source(tmp_path, "folder", ".")


def test_names_and_classes_may_begin_with_a_mark(tmp_path: Path) -> None:
    write_labels(tmp_path / "a.parquet", 8)
    (tmp_path / "names.json").write_text(json.dumps({"Grün": ["green"]}), encoding="utf-8-sig")
    (tmp_path / "classes.json").write_text(json.dumps(["red", "Grün", "blue", "grey"]), encoding="utf-16")
    opened = source(tmp_path, "parquet", "a.parquet", templates=("{}",), names="names.json", classes="classes.json")
    assert captions_of(opened, 1) == {"Grün", "green"}


def test_a_parquet_file_without_captions_and_labels_is_refused_with_its_columns(tmp_path: Path) -> None:
    columns = {"image": pa.array([{"bytes": b"", "path": None}], IMAGE), "text": ["a cat"]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(DatasetError, match=r"no column 'captions', 'caption' or 'label'; its columns: image .*, text"):
        source(tmp_path, "parquet", "a.parquet")


@pytest.mark.parametrize(
    ("kind", "path", "content", "complaint"),
    [
        ("parquet", "none.parquet", None, "no file matches"),
        ("parquet", "a.parquet", b"no parquet", "cannot be read as Parquet"),
        ("webdataset", "a.tar", b"no tar at all", "cannot be read as an uncompressed tar"),
        ("csv", "a.csv", b"picture,words\n", "needs the columns 'image' and 'caption' .*; it has 'picture', 'words'"),
        ("csv", "a.csv", b"image;caption\n", "with a comma between; it has 'image;caption'"),
        ("csv", "a.csv", b"", "needs the columns 'image' and 'caption' .*; it has none"),
        ("folder", "a.file", b"", "is no folder"),
    ],
)
def test_data_that_cannot_be_used_are_refused_by_name(
    tmp_path: Path, kind: str, path: str, content: bytes | None, complaint: str
) -> None:
    if content is not None:
        (tmp_path / path).write_bytes(content)
    with pytest.raises(DatasetError, match=complaint):
        source(tmp_path, kind, path)


def test_labels_without_names_are_refused_with_the_fix(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"1.jpg": jpeg(COLOURS["green"], 0), "1.cls": b"1"})
    with pytest.raises(DatasetError, match="give a JSON list with classes"):
        source(tmp_path, "webdataset", "a.tar")


def test_names_for_a_class_that_is_not_there_are_refused(tmp_path: Path) -> None:
    write_labels(tmp_path / "a.parquet", 8)
    (tmp_path / "names.json").write_text(json.dumps({"gren": ["verdant"]}))
    with pytest.raises(DatasetError, match="classes that the data lack: gren"):
        source(tmp_path, "parquet", "a.parquet", names="names.json")


@pytest.mark.parametrize("kind", ["csv", "folder", "parquet"])
def test_a_pattern_that_several_match_is_refused_where_one_is_read(tmp_path: Path, kind: str) -> None:
    for number in range(2):
        (tmp_path / f"part-{number}").mkdir()
    with pytest.raises(DatasetError, match=r"'part-\*' matches 2 (file|folder)s; give each \1 its own source"):
        source(tmp_path, kind, "part-*")


def test_a_folder_may_be_called_as_a_pattern_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "photos [1]"
    folder.mkdir()
    write_labels(folder / "a [2].parquet", 8)
    assert len(source(folder, "parquet", "a [2].parquet", templates=("{}",))) == 8
