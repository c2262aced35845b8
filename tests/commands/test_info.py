from __future__ import annotations

import dataclasses
import datetime
import json
import shutil
from pathlib import Path

import pytest

import clipwright
from clipwright.checkpoints.model_file import save_model
from clipwright.errors import InterruptedRunError
from clipwright.training.recipe import read_recipe
from clipwright.training.run import RunObserver, train
from tests.support import run_cli, tiny_checkpoint
from tests.training.data import label_source, recipe_text, write_labels


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


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was stopped after 3 of 2,000 steps."""
    folder = tmp_path_factory.mktemp("run")
    data = write_labels(folder / "colours.parquet", 16)
    (folder / "recipe.toml").write_text(recipe_text(label_source(data), steps=2000))
    asked = iter([False, False, True])
    observer = RunObserver(should_stop=lambda: next(asked))
    with pytest.raises(InterruptedRunError):
        train(read_recipe(folder / "recipe.toml"), folder, folder / "out", observer=observer)
    return folder / "out"


def test_a_run_that_is_not_done_says_at_which_step_it_stands_since_when(unfinished: Path) -> None:
    saved = datetime.datetime.fromtimestamp((unfinished / "unfinished.safetensors").stat().st_mtime)
    when = saved.isoformat(timespec="seconds")
    answer = run_cli("info", unfinished, "--json")
    assert (answer.status, answer.stderr) == (0, "")
    record = json.loads(answer.stdout)
    assert record["run"] == {"step": 3, "steps": 2000, "saved": when}
    assert record["provenance"]["unfinished"] == "step 3 of 2,000"
    assert record["space_id"] == clipwright.load(unfinished / "unfinished.safetensors").space_id
    assert f"run                         step 3 of 2,000, saved {when}" in run_cli("info", unfinished).stdout
    assert "run" in json.loads(run_cli("info", unfinished / "unfinished.safetensors", "--json").stdout)


def test_the_model_of_a_run_that_is_not_done_is_used_and_marked(unfinished: Path, photo: Path) -> None:
    answer = run_cli("classify", photo, "--labels", "red, blue", "--model", unfinished)
    assert answer.status == 0
    assert f"warning: {unfinished} is in the middle of its training: step 3 of 2,000" in answer.stderr


def test_a_run_that_kept_its_state_alone_says_where_it_stands_too(unfinished: Path, tmp_path: Path) -> None:
    shutil.copy(unfinished / "state.pt", tmp_path)
    record = json.loads(run_cli("info", tmp_path, "--json").stdout)
    assert (record["model"], record["run"]["step"], record["run"]["steps"]) == (None, 3, 2000)
    assert "step 3 of 2,000" in run_cli("info", tmp_path).stdout


def test_a_run_that_has_saved_nothing_says_so(unfinished: Path, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,name,value\n20,loss,0.5\n40,loss,0.4\n")
    answer = run_cli("info", tmp_path)
    assert (answer.status, answer.stdout) == (2, "")
    assert "holds a run that has saved nothing yet; its log has come to step 40" in answer.stderr


def test_a_file_that_is_no_model_is_refused(photo: Path) -> None:
    answer = run_cli("info", photo)
    assert (answer.status, answer.stdout) == (2, "")
    assert "cannot be read as a model" in answer.stderr


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, photo: Path) -> Path:
    """An index of a photograph and a file that is none."""
    folder = tmp_path_factory.mktemp("told")
    (folder / "photos").mkdir()
    shutil.copy(photo, folder / "photos")
    (folder / "photos" / "text.jpg").write_text("Dear diary")
    run_cli("index", folder / "photos", "--index", folder / "photos.db", "--model", tiny_model)
    return folder / "photos.db"


def test_an_index_says_what_it_holds(database: Path, tiny_model: Path) -> None:
    answer = run_cli("info", database, "--json")
    assert (answer.status, answer.stderr) == (0, "")
    record = json.loads(answer.stdout)
    (model,) = record.pop("models")
    assert (model["model"], model["space_id"]) == (str(tiny_model), clipwright.load(tiny_model).space_id)
    assert (model["embed_dim"], model["vectors"], list(model["variants"].values())) == (16, 1, [1])
    assert record.pop("bytes") > database.stat().st_size / 2
    assert record == {
        "index": str(database),
        "photographs": 1,
        "offline": 0,
        "thumbnails": 1,
        "folders": [
            {
                "source": str(database.parent / "photos"),
                "photographs": 1,
                "offline": False,
                "excludes": [],
                "thumbnails": True,
            }
        ],
        "failures": {"not_an_image": 1},
    }


def test_an_index_is_shown_to_people(database: Path, tiny_model: Path) -> None:
    answer = run_cli("info", database)
    assert answer.status == 0
    for shown in (str(database.parent / "photos"), str(tiny_model), "1 fast-", "not an image"):
        assert shown in answer.stdout


def test_an_index_is_told_by_its_content_too(database: Path, tmp_path: Path) -> None:
    shutil.copy(database, tmp_path / "holiday")
    assert json.loads(run_cli("info", tmp_path / "holiday", "--json").stdout)["photographs"] == 1


def test_unnamed_it_is_the_users_index_and_else_the_starter(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIPWRIGHT_HOME", str(tmp_path))
    assert json.loads(run_cli("info", "--json").stdout)["model"] == "starter"
    shutil.copy(database, tmp_path / "photos.db")
    assert json.loads(run_cli("info", "--json").stdout)["index"] == str(tmp_path / "photos.db")


def test_an_index_that_is_not_there_is_refused(tmp_path: Path) -> None:
    answer = run_cli("info", tmp_path / "lost.db")
    assert (answer.status, answer.stdout) == (2, "")
    assert "does not exist" in answer.stderr
