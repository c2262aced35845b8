from __future__ import annotations

from pathlib import Path

import pytest

from clipwright.embedding.load import embedder_from
from clipwright.errors import DatasetError
from clipwright.evaluation.datasets import open_dataset
from clipwright.evaluation.during_training import evaluators_of
from clipwright.evaluation.evaluate import evaluate
from clipwright.inputs.tokenizer import Tokenizer
from clipwright.model.weights import build_model
from clipwright.training.recipe import Recipe, read_recipe
from clipwright.training.run import Trainee
from tests.support import tiny_checkpoint
from tests.training.data import label_source, recipe_text, write_captions, write_labels


def recipe_with(folder: Path, evaluations: str) -> Recipe:
    source = label_source(write_labels(folder / "colours.parquet", 16))
    (folder / "recipe.toml").write_text(recipe_text(f"{source}\n{evaluations}"))
    return read_recipe(folder / "recipe.toml")


def tiny_trainee() -> Trainee:
    checkpoint = tiny_checkpoint()
    tokenizer = Tokenizer(str(checkpoint.tokenizer), checkpoint.spec)
    return Trainee(build_model(checkpoint.config, checkpoint.weights), tokenizer)


def test_a_model_in_training_is_measured_as_a_finished_one_is(tmp_path: Path) -> None:
    evaluation = '[[evaluations]]\nname = "held out"\npath = "colours.parquet"\nhold_out = 4\nlimit = 3\n'
    (run,) = evaluators_of(recipe_with(tmp_path, evaluation), tmp_path)
    dataset = open_dataset(tmp_path / "colours.parquet", limit=3, hold_out=4)
    expected = evaluate(embedder_from(tiny_checkpoint(), "tiny"), dataset).metrics
    assert dict(run(tiny_trainee())) == {f"held out {name}": share.value for name, share in expected.items()}


def test_each_evaluation_keeps_its_own_name(tmp_path: Path) -> None:
    write_captions(tmp_path / "captions.parquet", 4)
    wanted = [f'[[evaluations]]\nname = "{name}"\npath = "{name}.parquet"\n' for name in ("colours", "captions")]
    evaluators, trainee = evaluators_of(recipe_with(tmp_path, "".join(wanted)), tmp_path), tiny_trainee()
    names = [name for run in evaluators for name, _ in run(trainee)]
    assert names[:2] == ["colours top-1", "colours top-5"]
    assert all(name.startswith("captions ") for name in names[2:])


def test_a_data_set_that_is_missing_is_refused_before_training(tmp_path: Path) -> None:
    recipe = recipe_with(tmp_path, '[[evaluations]]\nname = "lost"\npath = "lost.parquet"\n')
    with pytest.raises(DatasetError, match="no data set at"):
        evaluators_of(recipe, tmp_path)
