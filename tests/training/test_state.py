"""A state of an earlier clipwright is gone on with to the same bits, or refused: never trained otherwise in silence."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from clipwright.checkpoints.model_file import load_model, save_model
from clipwright.errors import InterruptedRunError, RecipeError
from tests.training.test_run import metrics, run, stop_after, without_provenance, written_recipe


def begun_by_the_first_version(folder: Path, recipe: Path, precision: str = "fp32") -> Path:
    """A run that was stopped by a clipwright whose states said nothing of inputs, and whose default was bf16."""
    with pytest.raises(InterruptedRunError):
        run(recipe, folder, stop_after(3), f"training.precision={precision}")
    state = torch.load(folder / "state.pt", weights_only=True)
    del state["input_spec"]
    torch.save(state, folder / "state.pt")
    (folder / "unfinished.safetensors").unlink()
    return folder


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_an_old_run_goes_on_in_its_own_precision(tmp_path: Path, precision: str) -> None:
    recipe = written_recipe(tmp_path, precision="auto")
    whole = run(recipe, tmp_path / "whole", None, f"training.precision={precision}")
    old = begun_by_the_first_version(tmp_path / "old", recipe, precision)
    assert without_provenance(run(recipe, old)) == without_provenance(whole)
    assert metrics(old, "loss") == metrics(tmp_path / "whole", "loss")


def test_a_state_tells_which_precision_was_chosen(tmp_path: Path) -> None:
    begun_by_the_first_version(tmp_path / "old", written_recipe(tmp_path, precision="auto"))
    state = torch.load(tmp_path / "old" / "state.pt", weights_only=True)
    assert json.loads(state["recipe"])["training"]["precision"] == "fp32"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("embed_dim = 16", 'embed_dim = 16\nscores = "sigmoid"'),
        ("context_length = 12", "context_length = 12\ncausal = false"),
        ("context_length = 12", 'context_length = 12\npool = "last"'),
    ],
)
def test_an_old_run_that_was_trained_wrongly_is_refused(tmp_path: Path, before: str, after: str) -> None:
    recipe = written_recipe(tmp_path)
    recipe.write_text(recipe.read_text().replace(before, after))
    old = begun_by_the_first_version(tmp_path / "old", recipe)
    with pytest.raises(RecipeError, match="an earlier clipwright, which trained such a model wrongly"):
        run(recipe, old)


def test_an_old_run_that_forgot_how_its_model_reads_pictures_is_refused(tmp_path: Path) -> None:
    first = load_model(run(written_recipe(tmp_path), tmp_path / "first"))
    spec = dataclasses.replace(first.spec, mean=(0.5, 0.5, 0.5))
    save_model(tmp_path / "start.safetensors", dataclasses.replace(first, spec=spec))
    recipe = written_recipe(tmp_path, start_from="start.safetensors")
    with pytest.raises(RecipeError, match="begin again: give --out another folder"):
        run(recipe, begun_by_the_first_version(tmp_path / "old", recipe))


def test_a_run_goes_on_with_the_inputs_that_it_began_with(tmp_path: Path) -> None:
    """Also where the model that it began with is read otherwise by now."""
    first = load_model(run(written_recipe(tmp_path), tmp_path / "first"))
    recipe = written_recipe(tmp_path, start_from="first/model.safetensors")
    with pytest.raises(InterruptedRunError):
        run(recipe, tmp_path / "out", stop_after(3))
    spec = dataclasses.replace(first.spec, mean=(0.5, 0.5, 0.5))
    save_model(tmp_path / "first" / "model.safetensors", dataclasses.replace(first, spec=spec))
    assert load_model(run(recipe, tmp_path / "out")).spec == first.spec
