"""The model in the package: small enough to install, open about its origin, and right about plain photographs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import clipwright
from clipwright.checkpoints.load import STARTER, load_checkpoint, model_path
from tests.support import REFERENCE, run_cli


def test_the_packaged_file_is_at_most_30_megabytes() -> None:
    assert model_path(STARTER).stat().st_size <= 30_000_000


def test_it_carries_its_data_its_licence_and_its_recipe() -> None:
    provenance = load_checkpoint(STARTER).provenance
    assert "non-commercial" in provenance["licence"]
    for name in ("Tiny ImageNet", "Flickr8k", "Caltech-101"):
        assert any(name in line for line in provenance["data"])
    assert provenance["recipe"]


def test_it_has_a_card_and_a_licence_beside_it() -> None:
    for name in ("CARD.md", "LICENSE"):
        text = model_path(STARTER).with_name(name).read_text(encoding="utf-8")
        assert "non-commercial" in " ".join(text.split())


def test_a_cat_is_a_cat() -> None:
    labels = ["cat", "dog", "car", "airplane", "pizza"]
    (result,) = clipwright.classify(clipwright.load("starter"), [REFERENCE / "pictures" / "chelsea.png"], labels)
    assert result.labels[0].label == "cat"


def test_its_answers_come_with_one_line_that_says_what_it_is(photo: Path) -> None:
    answer = run_cli("classify", photo, "--labels", "rocket, cat")
    assert answer.status == 0
    assert answer.stderr.count("\n") == 1
    assert answer.stderr.startswith("note: the starter answers")
    assert "--model" in answer.stderr


def test_the_line_is_not_said_where_quiet_is_asked(photo: Path) -> None:
    answer = run_cli("classify", photo, "--labels", "rocket, cat", "--quiet")
    assert (answer.status, answer.stderr) == (0, "")


def test_the_line_is_not_said_of_another_model(photo: Path, tiny_model: Path) -> None:
    assert not run_cli("classify", photo, "--labels", "rocket, cat", "--model", tiny_model).stderr


def test_it_is_the_model_that_is_taken_where_none_is_named(photo: Path) -> None:
    arguments: list[str | Path] = ["classify", photo, "--labels", "rocket, cat", "--json"]
    assert run_cli(*arguments).status == 0
    assert run_cli(*arguments) == run_cli(*arguments, "--model", STARTER)


def test_it_is_listed_with_its_size_and_licence() -> None:
    answer = run_cli("models", "--json")
    record = json.loads(answer.stdout.splitlines()[0])
    assert record["name"] == "starter"
    assert 1e6 * record["million_parameters"] == pytest.approx(model_path(STARTER).stat().st_size / 2, rel=0.02)
    assert record["licence"] in run_cli("models").stdout


def test_info_is_about_it_where_no_model_is_named() -> None:
    record = json.loads(run_cli("info", "--json").stdout)
    assert (record["model"], record["space_id"]) == (STARTER, clipwright.load(STARTER).space_id)
    assert record["space_id"] in run_cli("info").stdout
