"""What the command adds to a run; tests/training/test_run.py holds what a run does, kills and full disks included."""

from __future__ import annotations

from pathlib import Path

import pytest

import clipwright
from tests.support import run_cli
from tests.training.data import label_source, recipe_text, write_labels


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Two steps on sixteen squares, measured after the last."""
    data = write_labels(tmp_path / "colours.parquet", 16)
    evaluation = f'[[evaluations]]\nname = "colours"\npath = "{data.name}"\n'
    path = tmp_path / "tiny.toml"
    path.write_text(recipe_text(f"{label_source(data)}\n{evaluation}", steps=2, warmup_steps=1, evaluate_every=2))
    return path


def test_a_run_prints_where_its_model_lies_and_tells_the_rest_on_stderr(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = run_cli("train", recipe)
    assert (answer.status, answer.stdout) == (0, f"{Path('runs/tiny/model.safetensors')}\n")
    assert "step 2 of 2" in answer.stderr
    assert "measured after step 2:  colours top-1" in answer.stderr
    assert clipwright.load("runs/tiny").embed_dim == 16


def test_quiet_says_only_where_the_model_lies(recipe: Path, tmp_path: Path) -> None:
    answer = run_cli("train", recipe, "--out", tmp_path / "out", "--quiet")
    assert (answer.status, answer.stderr) == (0, "")
    assert answer.stdout == f"{tmp_path / 'out' / 'model.safetensors'}\n"


def test_a_value_may_be_laid_over_the_recipe(recipe: Path, tmp_path: Path) -> None:
    answer = run_cli("train", recipe, "--out", tmp_path / "out", "--set", "training.steps=3")
    assert "step 3 of 3" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--set", "training.stepps=3"], "unknown key 'stepps'"),
        (["--set", "training.steps"], "training.steps"),
        (["--set", "training.steps=many"], "steps"),
        (["--set", "training.warmup_steps=9"], "warmup_steps"),
    ],
)
def test_a_wrong_request_trains_nothing(recipe: Path, tmp_path: Path, arguments: list[str], complaint: str) -> None:
    answer = run_cli("train", recipe, "--out", tmp_path / "out", *arguments)
    assert (answer.status, answer.stdout) == (2, "")
    assert answer.stderr.startswith("error: ")
    assert complaint in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_evaluation_that_cannot_be_opened_stops_the_run_before_it_starts(recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(recipe.read_text().replace('name = "colours"\npath = "colours', 'name = "colours"\npath = "lost'))
    answer = run_cli("train", recipe, "--out", tmp_path / "out")
    assert answer.status == 2
    assert "no data set at" in answer.stderr
    assert not (tmp_path / "out").exists()
