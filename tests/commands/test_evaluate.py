from __future__ import annotations

import json
from pathlib import Path

import pytest

import clipwright
from clipwright.evaluation.datasets import open_dataset
from clipwright.evaluation.evaluate import evaluate
from tests.support import run_cli
from tests.training.data import write_captions, write_labels


def test_text_names_data_model_and_every_share_with_its_interval(tiny_model: Path, tmp_path: Path) -> None:
    data = write_labels(tmp_path / "colours.parquet", 16)
    answer = run_cli("evaluate", data, "--template", "a {}", "--model", tiny_model)
    assert (answer.status, answer.stderr) == (0, "")
    head, *rows = answer.stdout.splitlines()
    assert head == f"{tmp_path.name}/colours: 16 photographs, {tiny_model}"
    assert [row.split()[0] for row in rows] == ["top-1", "top-5"]
    assert all("95 % interval" in row for row in rows)


def test_json_is_one_object_with_what_the_library_measures(tiny_model: Path, tmp_path: Path) -> None:
    data = write_captions(tmp_path / "colours.parquet", 16)
    answer = run_cli("evaluate", data, "--model", tiny_model, "--json")
    record = json.loads(answer.stdout)
    embedder = clipwright.load(tiny_model)
    expected = evaluate(embedder, open_dataset(data)).metrics
    assert record == {
        "dataset": f"{tmp_path.name}/colours",
        "model": str(tiny_model),
        "space_id": embedder.space_id,
        "images": 16,
        "metrics": {name: vars(share) for name, share in expected.items()},
        "failures": [],
    }
    assert len(record["metrics"]) == 6


def test_broken_pictures_are_named_and_status_is_1(tiny_model: Path, tmp_path: Path) -> None:
    data = write_labels(tmp_path / "colours.parquet", 16, broken=(3, 9))
    answer = run_cli("evaluate", data, "--template", "a {}", "--model", tiny_model, "--json")
    assert answer.status == 1
    record = json.loads(answer.stdout)
    assert record["images"] == 14
    assert [failure["source"] for failure in record["failures"]] == ["colours.parquet row 3", "colours.parquet row 9"]
    assert [list(failure["error"]) for failure in record["failures"]] == [["code", "message"]] * 2
    assert [line.split(": ")[1] for line in answer.stderr.splitlines()] == [
        "colours.parquet row 3",
        "colours.parquet row 9",
    ]


def test_a_limit_measures_so_many(tiny_model: Path, tmp_path: Path) -> None:
    data = write_labels(tmp_path / "colours.parquet", 16)
    assert ": 5 photographs" in run_cli("evaluate", data, "--limit", "5", "--model", tiny_model).stdout


def test_class_names_come_from_a_file_where_one_is_named(tiny_model: Path, tmp_path: Path) -> None:
    data = write_labels(tmp_path / "colours.parquet", 16)
    names = tmp_path / "names.json"
    names.write_text(json.dumps({"c1": ["rot", "red"], "c2": ["grün"]}))
    answer = run_cli("evaluate", data, "--labels", names, "--model", tiny_model)
    assert answer.status == 2
    assert "labels reach from 0 to 3, but 2 names are given" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["lost.parquet"], "no data set at 'lost.parquet'"),
        (["text.parquet"], "'text.parquet' cannot be read as Parquet"),
        (["good.parquet", "--labels", "lost.json"], "'lost.json' cannot be read as JSON"),
        (["good.parquet", "--template", "a photo"], "template 'a photo' needs one {}"),
        (["good.parquet", "--limit", "0"], "Invalid value for '--limit'"),
        ([], "Missing argument 'DATA.parquet'"),
    ],
)
def test_a_wrong_request_is_refused_before_the_model_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_labels(Path("good.parquet"), 4)
    Path("text.parquet").write_text("This is a text.")
    answer = run_cli("evaluate", *arguments, "--model", "there is none")
    assert (answer.status, answer.stdout) == (2, "")
    assert answer.stderr.startswith(f"error: {complaint}")
    assert answer.stderr.count("\n") == 1
