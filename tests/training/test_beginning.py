"""A run begins with the model that its recipe names, as that model reads its inputs, or is refused by name."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from clipwright.checkpoints.checkpoint import Checkpoint, config_table
from clipwright.checkpoints.model_file import load_model, save_model
from clipwright.checkpoints.save import save_checkpoint
from clipwright.errors import CheckpointError, ClipwrightError, RecipeError, UnknownModelError, UnreachableError
from clipwright.model.config import ModelConfig, TextTransformerConfig, VisionTransformerConfig
from clipwright.model.dual_encoder import DualEncoder
from clipwright.model.weights import weights_of
from clipwright.training.beginning import input_spec, read_start
from clipwright.training.recipe import Recipe, read_recipe
from clipwright.training.run import train
from tests.support import tiny_checkpoint
from tests.training.data import label_source, recipe_text, write_labels

HALF = (0.5, 0.5, 0.5)
UNUSUAL: dict[str, Any] = {
    "mean": HALF,
    "std": HALF,
    "interpolation": "bilinear",
    "resize": "squash",
    "text_cleaning": "canonical",
}
"""As SigLIP's models are, besides their padding."""


def recipe_for(config: ModelConfig, folder: Path, start: str, **training: Any) -> Recipe:
    """One that begins with a model of this config, as a user writes it down."""
    write_labels(folder / "labels.parquet", 16)
    text = recipe_text(label_source(folder / "labels.parquet"), start_from=start, steps=2, **training)
    before, _, after = text.partition("[config]")
    parts = config_table(config)
    lines = ["[config]"]
    for name, table in (("", parts), ("vision", parts["vision"]), ("text", parts["text"])):
        lines += [f"[config.{name}]"] if name else []
        lines += [f"{key} = {json.dumps(value)}" for key, value in table.items() if not isinstance(value, dict)]
    (folder / "recipe.toml").write_text(before + "\n".join(lines) + "\n[augment]" + after.partition("[augment]")[2])
    return read_recipe(folder / "recipe.toml")


def siglip_checkpoint() -> Checkpoint:
    """A seeded model of SigLIP's kind: sigmoid scores, pooled by attention, every text as long as the context."""
    tiny = tiny_checkpoint()
    vision = VisionTransformerConfig(
        image_size=32, patch_size=8, width=16, layers=1, heads=2, mlp_width=32, pool="attention", patch_bias=True,
        input_norm=False, projection=False, activation="gelu_tanh",
    )  # fmt: skip
    text = TextTransformerConfig(
        context_length=16, vocab_size=560, width=16, layers=1, heads=2, mlp_width=32, causal=False, pool="last",
        projection_bias=True,
    )  # fmt: skip
    config = ModelConfig(embed_dim=16, vision=vision, text=text, scores="sigmoid")
    torch.manual_seed(1)
    model = DualEncoder(config)
    model.logit_scale.data.fill_(4.77)
    assert model.logit_bias is not None
    model.logit_bias.data.fill_(-12.9)
    spec = dataclasses.replace(tiny.spec, **UNUSUAL, padding="context", start_id=None, pad_id=1)
    return dataclasses.replace(tiny, config=config, spec=spec, weights=weights_of(model))


@pytest.mark.parametrize("start", [tiny_checkpoint(), siglip_checkpoint()], ids=["clip", "siglip"])
def test_a_run_keeps_weights_vocabulary_and_input_spec_of_the_model_it_begins_with(
    tmp_path: Path, start: Checkpoint
) -> None:
    start = dataclasses.replace(start, spec=dataclasses.replace(start.spec, **UNUSUAL))
    save_model(tmp_path / "start.safetensors", start)
    recipe = recipe_for(start.config, tmp_path, "start.safetensors", learning_rate=1e-12, seed=5)
    trained = load_model(train(recipe, tmp_path, tmp_path / "out"))
    assert trained.spec == start.spec
    assert trained.tokenizer == start.tokenizer
    assert trained.scale == pytest.approx(start.scale)
    assert trained.bias == start.bias
    assert trained.provenance["started_from"]["space_id"] == load_model(tmp_path / "start.safetensors").space_id()
    for name in ("text.projection.weight", "vision.patch_embedding.weight"):
        assert np.array_equal(trained.weights[name], np.asarray(start.weights[name], np.float16))


def test_a_model_without_a_start_reads_inputs_as_openai_does() -> None:
    start = tiny_checkpoint()
    assert input_spec(start.config, str(start.tokenizer)) == start.spec


@pytest.mark.parametrize("text", [{"causal": False}, {"pool": "last"}])
def test_texts_are_padded_to_the_context_where_the_tower_sees_it(text: dict[str, Any]) -> None:
    start = tiny_checkpoint()
    config = dataclasses.replace(start.config, text=dataclasses.replace(start.config.text, **text))
    assert input_spec(config, str(start.tokenizer)) == dataclasses.replace(start.spec, padding="context")


def test_a_run_may_begin_with_a_folder_of_another_layout(tmp_path: Path) -> None:
    save_checkpoint(tiny_checkpoint(), tmp_path / "theirs", "huggingface")
    start = read_start(recipe_for(tiny_checkpoint().config, tmp_path, "theirs"), tmp_path)
    assert start is not None
    assert (start.config, start.spec.crop_rounding) == (tiny_checkpoint().config, "floor")


def test_a_name_of_the_catalogue_is_looked_for_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(tmp_path / "cached.safetensors", tiny_checkpoint())
    cached = {("timm/vit_base_patch32_clip_224.openai", None): tmp_path / "cached.safetensors"}
    monkeypatch.setattr("clipwright.checkpoints.hub.cached_or_pulled", lambda *asked: cached[asked])
    start = read_start(recipe_for(tiny_checkpoint().config, tmp_path, "openai-vit-b-32"), tmp_path)
    assert start is not None
    assert start.config == tiny_checkpoint().config


@pytest.mark.parametrize(
    ("name", "kind", "complaint"),
    [
        (
            "openai-vit-b-32",
            UnreachableError,
            "there is no .*openai-vit-b-32', and 'timm/vit_base_patch32_clip_224.openai'",
        ),
        ("runs/model.safetensors", UnreachableError, r"there is no '.*runs.model\.safetensors', and 'runs/model.safe"),
        ("openai-vit-b-23", UnknownModelError, "did you mean 'openai-vit-b-32'"),
    ],
)
def test_a_model_that_cannot_be_had_is_refused_with_the_real_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: type[ClipwrightError], complaint: str
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(kind, match=complaint):
        read_start(recipe_for(tiny_checkpoint().config, tmp_path, name), tmp_path)


def test_a_model_of_another_config_is_refused_by_what_differs(tmp_path: Path) -> None:
    save_model(tmp_path / "start.safetensors", siglip_checkpoint())
    config = dataclasses.replace(siglip_checkpoint().config, scores="softmax")
    with pytest.raises(RecipeError, match=r"another config.*: config\.scores is 'sigmoid' there and 'softmax' in the"):
        read_start(recipe_for(config, tmp_path, "start.safetensors"), tmp_path)
    with pytest.raises(RecipeError, match=r"config\.vision\.width is 16 there and 32 in the recipe.* and \d+ more"):
        read_start(recipe_for(tiny_checkpoint().config, tmp_path, "start.safetensors"), tmp_path)


def changed(checkpoint: Checkpoint, folder: Path, **changes: Any) -> Recipe:
    if "tokenizer" in changes:
        save_checkpoint(checkpoint, folder / "start", "huggingface")
        for file in (folder / "start").glob("*token*"):
            file.unlink()
        return recipe_for(checkpoint.config, folder, "start")
    save_model(folder / "start", dataclasses.replace(checkpoint, spec=dataclasses.replace(checkpoint.spec, **changes)))
    return recipe_for(checkpoint.config, folder, "start")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [({"resize": "longest"}, "fits whole pictures into its square"), ({"tokenizer": None}, "has no tokenizer")],
)
def test_what_cannot_be_trained_on_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], complaint: str) -> None:
    recipe = changed(tiny_checkpoint(), tmp_path, **changes)
    with pytest.raises(RecipeError, match=f"training.start_from 'start' {complaint}"):
        read_start(recipe, tmp_path)


def test_a_model_with_weights_that_are_not_finite_is_refused(tmp_path: Path) -> None:
    start = tmp_path / "start.safetensors"
    save_model(start, tiny_checkpoint())
    tensors = load_file(start)
    tensors["text.output_norm.bias"][:] = np.nan
    with safe_open(start, framework="numpy") as file:
        header = file.metadata()
    save_file(tensors, start, header)
    with pytest.raises(CheckpointError, match=r"weight 'text\.output_norm\.bias' holds .* NaN or infinite"):
        read_start(recipe_for(tiny_checkpoint().config, tmp_path, start.name), tmp_path)
