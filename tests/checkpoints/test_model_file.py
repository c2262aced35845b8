"""The model file is whole, says what it is, and refuses what does not fit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.load import load_checkpoint
from clipwright.checkpoints.model_file import is_model_file, load_model, save_model
from clipwright.errors import CheckpointError, UnknownModelError
from tests.support import tiny_checkpoint


def test_a_saved_model_comes_back_the_same(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint()
    save_model(tmp_path / "model.safetensors", checkpoint)
    loaded = load_model(tmp_path / "model.safetensors")
    assert (loaded.config, loaded.spec, loaded.tokenizer) == (checkpoint.config, checkpoint.spec, checkpoint.tokenizer)
    assert loaded.provenance == checkpoint.provenance
    assert loaded.weights.keys() == checkpoint.weights.keys()
    for name, array in loaded.weights.items():
        assert np.allclose(array, checkpoint.weights[name], rtol=2**-10, atol=1e-7)


def test_a_model_whose_texts_have_no_start_comes_back_the_same(tmp_path: Path) -> None:
    """SigLIP's have none."""
    checkpoint = tiny_checkpoint()
    checkpoint = dataclasses.replace(checkpoint, spec=dataclasses.replace(checkpoint.spec, start_id=None))
    save_model(tmp_path / "model.safetensors", checkpoint)
    assert load_model(tmp_path / "model.safetensors").spec == checkpoint.spec


@pytest.mark.parametrize("text", [{"causal": False}, {"pool": "last"}])
def test_a_model_whose_vectors_would_depend_on_other_texts_is_refused(tmp_path: Path, text: dict[str, Any]) -> None:
    """As 'train' once made them."""
    checkpoint = tiny_checkpoint()
    config = dataclasses.replace(checkpoint.config, text=dataclasses.replace(checkpoint.config.text, **text))
    save_model(tmp_path / "model.safetensors", dataclasses.replace(checkpoint, config=config))
    with pytest.raises(CheckpointError, match=r"padded to their batch, which its text tower sees.*train it again"):
        load_model(tmp_path / "model.safetensors")


def test_saving_what_was_loaded_changes_no_byte(tmp_path: Path) -> None:
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_model(first, tiny_checkpoint())
    save_model(second, load_model(first))
    assert first.read_bytes() == second.read_bytes()


def test_space_id_stays_when_the_file_is_saved_again(tmp_path: Path) -> None:
    save_model(tmp_path / "a.safetensors", tiny_checkpoint())
    loaded = load_model(tmp_path / "a.safetensors")
    widened = dataclasses.replace(loaded, weights={n: np.asarray(a, np.float32) for n, a in loaded.weights.items()})
    assert loaded.space_id() == widened.space_id()


def test_space_id_differs_where_a_weight_the_spec_or_the_vocabulary_differs() -> None:
    checkpoint = tiny_checkpoint()
    name = "text.projection.weight"
    others = [
        dataclasses.replace(checkpoint, weights={**checkpoint.weights, name: np.asarray(checkpoint.weights[name]) + 1}),
        dataclasses.replace(checkpoint, spec=dataclasses.replace(checkpoint.spec, resize="squash")),
        dataclasses.replace(checkpoint, tokenizer=str(checkpoint.tokenizer).replace("</w>", "</v>")),
    ]
    assert len({checkpoint.space_id(), *(other.space_id() for other in others)}) == 4


def test_space_id_does_not_depend_on_provenance() -> None:
    checkpoint = tiny_checkpoint()
    assert checkpoint.space_id() == dataclasses.replace(checkpoint, provenance={"name": "other"}).space_id()


def test_matrices_take_two_bytes_and_gains_four(tmp_path: Path) -> None:
    save_model(tmp_path / "model.safetensors", tiny_checkpoint())
    with safe_open(tmp_path / "model.safetensors", framework="numpy") as file:
        assert file.get_tensor("text.projection.weight").dtype == np.float16
        assert file.get_tensor("text.output_norm.weight").dtype == np.float32
        assert file.get_tensor("tokenizer").dtype == np.uint8


@pytest.mark.parametrize("name", ["text.projection.weight", "text.output_norm.bias", "logit_scale"])
def test_a_weight_that_is_not_finite_is_not_written(tmp_path: Path, name: str) -> None:
    checkpoint = tiny_checkpoint()
    weight = np.full(checkpoint.weights[name].shape, np.nan, np.float32)
    with pytest.raises(CheckpointError, match=rf"weight '{name}' holds nan, which float(16|32) cannot"):
        save_model(
            tmp_path / "model.safetensors",
            dataclasses.replace(checkpoint, weights={**checkpoint.weights, name: weight}),
        )
    assert not list(tmp_path.iterdir())


def test_a_weight_too_large_for_half_precision_is_refused(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint()
    weights = {**checkpoint.weights, "text.projection.weight": np.full((16, 32), 1e6, np.float32)}
    with pytest.raises(CheckpointError, match=r"text\.projection\.weight.*float16 cannot"):
        save_model(tmp_path / "model.safetensors", dataclasses.replace(checkpoint, weights=weights))
    assert not list(tmp_path.iterdir())


def damaged(tmp_path: Path, text: str | None) -> Path:
    """A model file with this header instead of its own; without one where None."""
    source, target = tmp_path / "whole.safetensors", tmp_path / "damaged.safetensors"
    save_model(source, tiny_checkpoint())
    with safe_open(source, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it cannot be iterated over
    save_file(tensors, target, None if text is None else {"clipwright": text})
    return target


def test_a_foreign_safetensors_file_is_not_taken_for_a_model(tmp_path: Path) -> None:
    path = damaged(tmp_path, None)
    assert not is_model_file(path)
    with pytest.raises(CheckpointError, match="no model of clipwright"):
        load_model(path)


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        ('{"version": 99}', "update clipwright"),
        ("[]", "update clipwright"),
        ("{", "no JSON"),
        ('{"version": 1, "config": {}}', "lacks input_spec, provenance"),
        (
            '{"version": 1, "config": {"embed_dim": 16, "colour": 3}, "input_spec": {}, "provenance": {}}',
            "unknown key 'colour' in config",
        ),
    ],
)
def test_a_header_that_does_not_fit_is_refused(tmp_path: Path, header: str, complaint: str) -> None:
    with pytest.raises(CheckpointError, match=complaint):
        load_model(damaged(tmp_path, header))


@pytest.mark.parametrize("size", [0, 7, 100, 5000])
def test_a_cut_off_file_is_refused(tmp_path: Path, size: int) -> None:
    save_model(tmp_path / "model.safetensors", tiny_checkpoint())
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes((tmp_path / "model.safetensors").read_bytes()[:size])
    assert not is_model_file(cut)
    with pytest.raises(CheckpointError, match=r"fetch it again|cannot be read as a model"):
        load_model(cut)


def test_a_folder_with_a_model_is_a_model(tmp_path: Path) -> None:
    save_model(tmp_path / "model.safetensors", tiny_checkpoint())
    assert isinstance(load_checkpoint(tmp_path), Checkpoint)


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownModelError, match="did you mean 'starter'"):
        load_checkpoint("startr")
