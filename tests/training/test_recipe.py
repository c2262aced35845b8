"""A recipe is read strictly."""

from __future__ import annotations

from pathlib import Path

import pytest

from clipwright.checkpoints.checkpoint import TOWER_KINDS
from clipwright.errors import RecipeError
from clipwright.records import read_record
from clipwright.training.recipe import Recipe, read_recipe, recipe_table
from tests.training.data import recipe_text

SOURCE = '[[sources]]\nkind = "parquet"\npath = "a.parquet"\nweight = 1\n'


def written(folder: Path, text: str) -> Path:
    (folder / "recipe.toml").write_text(text)
    return folder / "recipe.toml"


def test_the_last_pictures_have_the_size_that_the_model_is_used_with(tmp_path: Path) -> None:
    text = recipe_text(SOURCE).replace("image_size = 32", "image_size = 64")
    sizes = "training.image_sizes=[{start=0.0, image_size=64}, {start=0.5, image_size=32}]"
    with pytest.raises(RecipeError, match="the last of image_sizes must be the model's own, 64"):
        read_recipe(written(tmp_path, text), [sizes])


def test_a_recipe_comes_back_from_its_table(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path, recipe_text(SOURCE)))
    assert read_record(Recipe, recipe_table(recipe), "recipe", TOWER_KINDS) == recipe


@pytest.mark.parametrize("part", [1, 2, 3, 4])
def test_the_recipes_of_the_starter_are_valid(part: int) -> None:
    recipe = read_recipe(Path(__file__).parents[2] / "recipes" / f"starter-{part}.toml")
    assert recipe.model.licence


def test_an_unknown_key_is_refused_with_the_nearest(tmp_path: Path) -> None:
    text = recipe_text(SOURCE).replace("learning_rate", "lerning_rate")
    with pytest.raises(RecipeError, match=r"unknown key 'lerning_rate'.*did you mean 'learning_rate'"):
        read_recipe(written(tmp_path, text))


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("steps = 8\n", "", "lacks the key 'steps'"),
        ("steps = 8\n", 'steps = "8"\n', "must be a whole number, not '8'"),
        ("steps = 8\n", "steps = true\n", "must be a whole number, not True"),
        ("steps = 8\n", "steps = 0\n", "steps must be at least 1"),
        ("batch_size = 8", "batch_size = 1", "batch_size must be at least 2"),
        ("warmup_steps = 2", "warmup_steps = 9", "warmup_steps must lie between 0 and steps"),
        ("steps = 8\n", "steps = 8\ngradient_clip = -1.0\n", "gradient_clip must be above 0"),
        ("steps = 8\n", "steps = 8\nweight_decay = -1.0\n", "weight_decay may not be below 0"),
        ("steps = 8\n", "steps = 8\nbeta1 = 1.5\n", "beta1 must lie between 0 and 1"),
        ("steps = 8\n", "steps = 8\nseed = -1\n", "seed may not be below 0"),
        ("threads = 1\n", "threads = 0\n", "threads must be at least 1"),
        ('kind = "resnet"', 'kind = "resnets"', "unknown kind 'resnets'.*did you mean 'resnet'"),
        ('kind = "resnet"\n', "", "lacks the key 'kind'"),
        ("weight = 1", "weight = 0", "weight must be above 0"),
        ('path = "a.parquet"', 'path = "a.parquet"\ntemplates = ["a photo"]', "every template needs one {}"),
        ("colour = 0.2", "colour = 2", "shares between 0 and 1"),
        ("steps = 8\n", "steps = 8\nimage_sizes = [{start = 0.0, image_size = 64}]\n", "may not exceed the model's"),
        (
            "steps = 8\n",
            "steps = 8\nimage_sizes = [{start = 0.0, image_size = 32}, {start = 1.0, image_size = 32}]\n",
            "start before 1",
        ),
        ("context_length = 12", "context_length = 2", "context_length must be at least 3"),
        ("[model]", "[modell]", "unknown key 'modell'"),
        ("[model]", "[model", "cannot be read as TOML"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(tmp_path: Path, before: str, after: str, complaint: str) -> None:
    text = recipe_text(SOURCE)
    assert before in text
    with pytest.raises(RecipeError, match=complaint):
        read_recipe(written(tmp_path, text.replace(before, after, 1)))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_recipe_may_begin_with_a_mark(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path, recipe_text(SOURCE))
    expected = read_recipe(path)
    path.write_text(recipe_text(SOURCE), encoding=encoding)
    assert read_recipe(path) == expected


def test_a_recipe_in_another_encoding_is_refused_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(b'# r\n[model]\nname = "caf\xe9"\n')
    with pytest.raises(RecipeError, match="cannot be read as TOML: line 3 is not UTF-8: 0xe9"):
        read_recipe(path)


def test_a_missing_recipe_is_refused_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no recipe at .*none\.toml"):
        read_recipe(tmp_path / "none.toml")


def test_overrides_are_laid_over_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, recipe_text(SOURCE))
    recipe = read_recipe(path, ["training.steps=100", "model.name = other one", "training.precision=bf16"])
    assert (recipe.training.steps, recipe.model.name, recipe.training.precision) == (100, "other one", "bf16")


@pytest.mark.parametrize("override", ["training.steps", "=3", "training.steps.x=1", "training.stepz=1"])
def test_an_override_that_fits_nothing_is_refused(tmp_path: Path, override: str) -> None:
    with pytest.raises(RecipeError):
        read_recipe(written(tmp_path, recipe_text(SOURCE)), [override])
