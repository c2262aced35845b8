"""A model whose weights are not finite is refused, by the name of the weight, wherever its weights are read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch

from clipwright.checkpoints.checkpoint import Checkpoint, JoinedRows, check_finite, spec_table
from clipwright.checkpoints.save import LAYOUTS, Layout, save_checkpoint
from clipwright.embedding.backend import BACKENDS, BackendName
from clipwright.embedding.load import embedder_from, load_embedder
from clipwright.errors import CheckpointError
from tests.support import REFERENCE, tiny_checkpoint

NAME = "vision.blocks.1.mlp.up.weight"


def broken(value: float, name: str = NAME) -> Checkpoint:
    """A model in which one number is this."""
    checkpoint = tiny_checkpoint()
    weight = np.array(checkpoint.weights[name])
    weight.reshape(-1)[weight.size // 2] = value
    return replace(checkpoint, weights={**checkpoint.weights, name: weight})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", [NAME, "logit_scale", "text.output_norm.bias"])
def test_a_model_with_a_broken_weight_has_no_space(name: str, value: float) -> None:
    with pytest.raises(CheckpointError, match=rf"weight '{name}' holds 1 of [\d,]+ numbers that are NaN or infinite"):
        broken(value, name).space_id()


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_is_refused_before_a_runtime_sees_it(backend: BackendName) -> None:
    with pytest.raises(CheckpointError, match=NAME):
        embedder_from(broken(np.nan), "broken", backend=backend)


@pytest.mark.parametrize("name", ["broken.pt", "broken.pt+{good}", "images.pt+broken.pt"])
def test_it_is_refused_however_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    good = REFERENCE.absolute() / "openai-vit-state.pt"
    state = dict(torch.load(good, weights_only=True))
    state["ln_final.bias"] = torch.full_like(state["ln_final.bias"], np.nan)
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "broken.pt")
    torch.save({key: tensor for key, tensor in state.items() if key.startswith("visual.")}, tmp_path / "images.pt")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"weight 'text\.output_norm\.bias' holds .* NaN or infinite"):
        load_embedder(name.format(good=good))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_is_written_in_no_layout(tmp_path: Path, layout: Layout) -> None:
    with pytest.raises(CheckpointError, match=NAME):
        save_checkpoint(broken(np.inf), tmp_path / "model", layout)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_broken_numbers_are_found_in_every_type(dtype: type) -> None:
    with pytest.raises(CheckpointError, match="holds 2 of 4"):
        check_finite({"a": np.array([1, np.nan, 2, -np.inf]).astype(dtype)})


def test_broken_numbers_are_found_in_matrices_that_are_joined_when_they_are_read() -> None:
    parts: list[np.ndarray] = [np.ones((2, 3), np.float32), np.full((1, 3), np.inf, np.float16)]
    with pytest.raises(CheckpointError, match="holds 3 of 9"):
        check_finite({"a": JoinedRows(parts)})


def test_what_float32_cannot_hold_is_broken() -> None:
    with pytest.raises(CheckpointError, match="NaN or infinite in float32"):
        check_finite({"a": np.array([1e300])})


def test_large_and_whole_numbers_are_sound() -> None:
    """Their sum is no number of float32 any more."""
    check_finite({"a": np.full(8, 3e38, np.float32), "b": np.array([2**40]), "c": np.array([True])})


def test_keys_that_came_later_are_in_a_spec_only_where_they_say_something() -> None:
    """Else every model's space_id would be another one."""
    spec = tiny_checkpoint().spec
    assert not {"padding_side", "truncation_side", "with_end"} & spec_table(spec).keys()
    left = replace(spec, padding="context", padding_side="left", truncation_side="left", with_end=False)
    assert {"padding_side", "truncation_side", "with_end"} <= spec_table(left).keys()


@pytest.mark.parametrize("logarithm", [800.0, -800.0])
def test_a_scale_beyond_all_numbers_is_refused(logarithm: float) -> None:
    checkpoint = tiny_checkpoint()
    with pytest.raises(CheckpointError, match=r"logit_scale is -?800"):
        _ = replace(checkpoint, weights={**checkpoint.weights, "logit_scale": np.array(logarithm)}).scale
