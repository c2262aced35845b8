from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clipwright
from tests.support import COMMAND, Answer, run_cli


@pytest.fixture
def classify(tiny_model: Path) -> Any:
    def run(*arguments: str | Path) -> Answer:
        return run_cli("classify", *arguments, "--model", tiny_model)

    return run


def records(answer: Answer) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.stdout.splitlines()]


# What is printed


def test_table_has_a_row_for_each_label_the_likeliest_first(classify: Any, photo: Path) -> None:
    answer = classify(photo, "--labels", "cat, dog, red car")
    assert (answer.status, answer.stderr) == (0, "")
    rows = answer.stdout.splitlines()
    assert rows[0].split()[0].endswith("pictures/rocket.jpg")
    shares = [float(row.split("%")[0].split()[-1]) for row in rows]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.2)


def test_json_is_as_the_design_says(classify: Any, photo: Path) -> None:
    answer = classify(photo, "--labels", "cat, dog", "--json")
    (record,) = records(answer)
    assert list(record) == ["source", "labels"]
    assert record["source"] == str(photo)
    assert all(list(score) == ["label", "probability", "similarity"] for score in record["labels"])
    assert {score["label"] for score in record["labels"]} == {"cat", "dog"}


def test_command_and_library_agree(classify: Any, photo: Path, tiny_model: Path) -> None:
    (record,) = records(classify(photo, "--labels", "cat, dog", "--template", "a {}.", "--unknown", "--json"))
    embedder = clipwright.load(tiny_model)
    (result,) = clipwright.classify(embedder, [photo], ["cat", "dog"], ["a {}."], unknown=True)
    for printed, score in zip(record["labels"], result.labels, strict=True):
        assert printed["label"] == score.label
        assert printed["probability"] == pytest.approx(score.probability, abs=1e-6)
        assert printed["similarity"] == pytest.approx(score.similarity, abs=1e-6)


def test_top_cuts_what_is_shown_and_not_what_is_weighed(classify: Any, photo: Path) -> None:
    (whole,) = records(classify(photo, "--labels", "a, b, c, d", "--json"))
    (cut,) = records(classify(photo, "--labels", "a, b, c, d", "--top", "2", "--json"))
    assert [score["label"] for score in cut["labels"]] == [score["label"] for score in whole["labels"]][:2]
    assert np.allclose(
        [score["probability"] for score in cut["labels"]], [score["probability"] for score in whole["labels"]][:2]
    )


def test_five_labels_are_shown_unless_told(classify: Any, photo: Path) -> None:
    (record,) = records(classify(photo, "--labels", "a, b, c, d, e, f, g", "--json"))
    assert len(record["labels"]) == 5


def test_unknown_adds_none_of_these(classify: Any, photo: Path) -> None:
    (record,) = records(classify(photo, "--labels", "cat", "--unknown", "--json"))
    assert {score["label"] for score in record["labels"]} == {"cat", "none of these"}
    assert sum(score["probability"] for score in record["labels"]) == pytest.approx(1, abs=1e-5)


def test_several_templates_change_the_answer(classify: Any, photo: Path) -> None:
    arguments = (photo, "--labels", "cat, dog", "--json")
    one = records(classify(*arguments, "--template", "{}"))
    two = records(classify(*arguments, "--template", "{}", "--template", "street {} photo"))
    assert one != two


def test_labels_come_from_a_file_with_one_a_line(classify: Any, photo: Path, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("\ufeffcat, sitting\r\n\r\n  dog \r\nchien\n", encoding="utf-8")
    (record,) = records(classify(photo, "--labels", path, "--json"))
    assert {score["label"] for score in record["labels"]} == {"cat, sitting", "dog", "chien"}


def test_pictures_of_a_folder_come_in_the_order_of_their_names(classify: Any, photo: Path, tmp_path: Path) -> None:
    for name in ("b.jpg", "a.JPEG", "c/d.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(photo.read_bytes())
    found = [record["source"] for record in records(classify(tmp_path, "--labels", "a, b", "--json"))]
    assert found == [str(tmp_path / name) for name in ("a.JPEG", "b.jpg", "c/d.jpg")]


# Photographs that fail


def test_bad_photos_are_named_with_their_reason_and_the_good_one_is_answered(
    classify: Any, photo: Path, bad_photos: dict[str, Path]
) -> None:
    sources = list(bad_photos.values())
    answer = classify(*sources[:3], photo, *sources[3:], "--labels", "cat, dog", "--json")
    assert answer.status == 1
    found = records(answer)
    assert [record["source"] for record in found] == [str(path) for path in (*sources[:3], photo, *sources[3:])]
    assert len(found.pop(3)["labels"]) == 2
    assert [record["error"]["code"] for record in found] == list(bad_photos)
    for record, line in zip(found, answer.stderr.splitlines(), strict=True):
        assert list(record) == ["source", "error"]
        assert list(record["error"]) == ["code", "message"]
        assert line == f"failed: {record['source']}: {record['error']['message']}"


def test_the_reasons_are_these(classify: Any, bad_photos: dict[str, Path]) -> None:
    """A person reads them; a change is meant."""
    answer = classify(*bad_photos.values(), "--labels", "cat, dog")
    assert (answer.status, answer.stdout) == (1, "")
    assert [line.rsplit(": ", 1)[1] for line in answer.stderr.splitlines()] == [
        "the file ends before the picture does",
        "not a picture in any format that is read here",
        "the file is empty",
        "claims 3,600,000,000 pixels; the limit is 178,956,970",
        "no such file",
        "a folder without pictures",
    ]


def test_failures_are_said_also_where_quiet_is_asked(classify: Any, tmp_path: Path) -> None:
    answer = classify(tmp_path / "lost.jpg", "--labels", "cat, dog", "--quiet")
    assert answer.stderr == f"failed: {tmp_path / 'lost.jpg'}: no such file\n"


@pytest.mark.parametrize("as_json", [True, False])
def test_a_name_that_is_not_utf8_goes_through_the_whole_command(
    tiny_model: Path, photo: Path, tmp_path: Path, as_json: bool
) -> None:
    if sys.platform != "linux":
        return  # other systems' names are UTF-8 or UTF-16
    name = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    Path(os.fsdecode(name)).write_bytes(photo.read_bytes())
    arguments: list[str | bytes | Path] = [
        COMMAND,
        "classify",
        name,
        b"lost\xff.jpg",
        "--labels",
        "a, b",
        "--model",
        tiny_model,
    ]
    answer = subprocess.run([*arguments, *(["--json"] if as_json else [])], capture_output=True, check=False)
    assert answer.returncode == 1
    assert answer.stderr.decode() == "failed: lost\ufffd.jpg: no such file\n"
    if not as_json:
        assert "caf\ufffd.jpg" in answer.stdout.decode()
        return
    good, lost = (json.loads(line) for line in answer.stdout.decode().splitlines())
    assert (base64.b64decode(good["source_bytes"]), base64.b64decode(lost["source_bytes"])) == (name, b"lost\xff.jpg")
    assert lost["error"]["code"] == "missing"


# Wrong requests


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--labels", ""], "no labels; give at least two"),
        (["--labels", "cat,,dog"], "a label is empty"),
        (
            ["--labels", "cat"],
            "one label 'cat' would always get probability 1; give a second one, or allow 'none of these'",
        ),
        (["--labels", "cat, dog, cat"], "label 'cat' is given twice"),
        (["--labels", "cat, dog", "--template", "a photo"], "template 'a photo' needs one {}"),
        (["--labels", "cat, dog", "--template", "{}", "--template", "{} {}"], "template '{} {}' needs one {}"),
        ([], "Missing option '--labels'"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_done(
    classify: Any, photo: Path, arguments: list[str], complaint: str
) -> None:
    answer = classify(photo, *arguments)
    assert (answer.status, answer.stdout) == (2, "")
    assert answer.stderr.startswith(f"error: {complaint}")
    assert answer.stderr.count("\n") == 1


def test_labels_in_a_file_that_is_not_there_are_refused(classify: Any, photo: Path) -> None:
    answer = classify(photo, "--labels", "nofile.txt")
    assert (answer.status, answer.stdout) == (2, "")
    assert answer.stderr.startswith("error: there is no file 'nofile.txt'; name a file with one text a line, or give")


def test_a_file_without_labels_is_refused(classify: Any, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("\n\n")
    answer = classify(photo, "--labels", tmp_path / "labels.txt")
    assert (answer.status, answer.stderr) == (2, "error: no labels; give at least two, as in --labels 'cat, dog'\n")


def test_a_picture_given_as_the_list_of_labels_is_refused(classify: Any, photo: Path) -> None:
    answer = classify(photo, "--labels", photo)
    assert answer.status == 2
    assert "cannot be read as a list: line 1 is not UTF-8" in answer.stderr
