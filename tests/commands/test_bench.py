from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import run_cli


@pytest.fixture(autouse=True)
def own_cache(small_measurements: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLIPWRIGHT_HOME", str(tmp_path))


def test_the_table_is_aligned_and_fits_a_terminal(tiny_model: Path) -> None:
    answer = run_cli("bench", tiny_model, "--quick", "--backend", "onnx", "--threads", "1", "--batch-size", "2")
    assert (answer.status, answer.stderr) == (0, "")
    about, table, *others = answer.stdout.split("\n\n")
    assert ", 1 thread; the best of 2 rounds" in about
    heading, *rows = table.splitlines()
    assert heading.split()[:2] == ["towers", "images/s"]
    assert [row.split()[:2] for row in rows] == [["onnx", "fp32"], ["onnx", "int8"]]
    assert {len(row) for row in (heading, *rows)} == {77}
    assert [block.split(",")[0].split("  ")[0] for block in others] == ["matrix peak", "photographs/s", "texts/s"]
    assert "3 megapixels" in others[1]


def test_json_is_one_object_a_row_with_all_figures(tiny_model: Path) -> None:
    answer = run_cli("bench", tiny_model, "--quick", "--backend", "onnx", "--precision", "fp32", "--json", "--quiet")
    assert (answer.status, answer.stderr) == (0, "")
    records = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [record["measured"] for record in records] == ["towers", "matrix peak", *["preparing"] * 4, "tokenizing"]
    assert list(records[0]) == [
        "measured",
        "model",
        "batch_size",
        "threads",
        "backend",
        "precision",
        "place",
        "images_per_second",
        "images_per_second_median",
        "image_peak_share",
        "texts_per_second",
        "texts_per_second_median",
        "text_peak_share",
        "open_seconds",
        "reopen_seconds",
        "image_multiply_adds",
    ]
    assert records[0]["model"] == str(tiny_model)
    assert records[1]["operations_per_second"] > 0
    assert {record["pixels"] for record in records[2:6]} == {"exact", "fast"}
    assert records[6]["texts_per_second"] > 0


def test_what_a_backend_cannot_do_is_refused_before_anything_is_measured(tiny_model: Path) -> None:
    answer = run_cli("bench", tiny_model, "--backend", "onnx", "--precision", "bf16")
    assert (answer.status, answer.stdout) == (2, "")
    assert answer.stderr.startswith("error: ONNX Runtime computes nothing in bf16")


def test_a_backend_that_is_not_installed_is_refused_with_its_extra(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    answer = run_cli("bench", tiny_model, "--backend", "torch")
    assert (answer.status, answer.stdout) == (2, "")
    assert answer.stderr == "error: --backend torch needs the 'train' extra: pip install 'clipwright[train]'\n"
