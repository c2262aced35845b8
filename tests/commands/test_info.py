from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import clipwright
from clipwright.checkpoints.model_file import save_model
from tests.support import run_cli, tiny_checkpoint


def test_json_is_one_object_that_says_what_the_model_is(tiny_model: Path) -> None:
    answer = run_cli("info", tiny_model, "--json")
    assert (answer.status, answer.stderr) == (0, "")
    record = json.loads(answer.stdout)
    keys = ["model", "file", "space_id", "parameters", "config", "input", "provenance"]
    assert list(record) == keys
    assert record["space_id"] == clipwright.load(tiny_model).space_id
    assert record["config"]["vision"]["kind"] == "vit"
    assert record["input"]["image_size"] == 32
    assert record["provenance"] == {"name": "tiny", "licence": "MIT"}


def test_parameters_are_counted_by_tower(tiny_model: Path) -> None:
    record = json.loads(run_cli("info", tiny_model, "--json").stdout)
    weights = tiny_checkpoint().weights
    assert record["parameters"] == {
        tower: sum(array.size for name, array in weights.items() if name.startswith(f"{tower}."))
        for tower in ("vision", "text")
    }


def test_text_shows_identity_sizes_and_origin(tiny_model: Path) -> None:
    answer = run_cli("info", tiny_model)
    assert answer.status == 0
    for shown in (clipwright.load(tiny_model).space_id, "embed dim                 16", "licence", "MIT"):
        assert shown in answer.stdout


def test_the_recipe_is_promised_only_where_there_is_one(tiny_model: Path, tmp_path: Path) -> None:
    trained = dataclasses.replace(tiny_checkpoint(), provenance={"name": "tiny", "recipe": {"steps": 3}})
    save_model(tmp_path / "trained.safetensors", trained)
    assert "in full with --json" in run_cli("info", tmp_path / "trained.safetensors").stdout
    assert "in full with --json" not in run_cli("info", tiny_model).stdout
    assert json.loads(run_cli("info", tmp_path / "trained.safetensors", "--json").stdout)["provenance"]["recipe"]


def test_the_folder_of_a_run_is_a_model(tmp_path: Path) -> None:
    save_model(tmp_path / "model.safetensors", tiny_checkpoint())
    record = json.loads(run_cli("info", tmp_path, "--json").stdout)
    assert (record["model"], record["file"]) == (str(tmp_path), str(tmp_path))


def test_a_file_that_is_no_model_is_refused(photo: Path) -> None:
    answer = run_cli("info", photo)
    assert (answer.status, answer.stdout) == (2, "")
    assert "cannot be read as a model" in answer.stderr
