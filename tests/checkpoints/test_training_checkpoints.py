"""Weights are found in what training code saves: under any key, wrapped in anything, beside anything. Nothing runs."""

from __future__ import annotations

import argparse
import collections
import datetime
import os
import pathlib
import pickle
import shutil
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.load import load_checkpoint
from clipwright.checkpoints.state_dict import bare_names
from clipwright.embedding.backends.onnx import OnnxBackend
from clipwright.errors import CheckpointError
from tests.reference import answers
from tests.support import REFERENCE, equal_to_reference

State = dict[str, Any]
OPENAI = REFERENCE / "openai-vit-state.pt"


def makers_state() -> State:
    return dict(torch.load(OPENAI, weights_only=True))


def prefixed(prefix: str) -> State:
    return {f"{prefix}{name}": tensor for name, tensor in makers_state().items()}


def gives_the_makers_features(checkpoint: Checkpoint) -> bool:
    theirs, backend = answers(OPENAI.name), OnnxBackend(checkpoint)
    ends = (theirs.ids == checkpoint.spec.end_id).argmax(axis=1)
    images, texts = backend.image_features(theirs.pixels), backend.text_features(theirs.ids, ends)
    return equal_to_reference(images, theirs.image_features) and equal_to_reference(texts, theirs.text_features)


def optimizer() -> State:
    """The state of an optimizer, with tensors of its own."""
    layer = torch.nn.Linear(3, 3)
    adam = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(3)).sum().backward()
    adam.step()
    return adam.state_dict()


class Settings:
    """Of a training script: a class that is not at hand where its checkpoint is read."""

    def __init__(self) -> None:
        self.rate = 0.1


Settings.__module__, Settings.__qualname__ = "of_a_training_script", "Settings"


def lightning() -> State:
    return {
        "epoch": 1,
        "pytorch-lightning_version": "2.5",
        "state_dict": prefixed("model."),
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(1.0), "dirpath": pathlib.Path("runs")}},
        "optimizer_states": [optimizer()],
        "hyper_parameters": {"arguments": argparse.Namespace(rate=0.1)},
    }


def wrapped_in_the_middle() -> State:
    return {
        name.replace("visual.", "visual.module.").replace(
            "resblocks.0.", "resblocks.0._checkpoint_wrapped_module."
        ): tensor
        for name, tensor in makers_state().items()
    }


def everything_else() -> State:
    return {
        "state_dict": makers_state(),
        "settings": Settings(),
        "arguments": argparse.Namespace(out=pathlib.Path("runs"), device=torch.device("cpu"), dtype=torch.float32),
        "when": datetime.datetime(2026, 12, 1),
        "random": (np.random.RandomState(0).get_state(), torch.get_rng_state()),
        "counts": (collections.Counter("aab"), collections.defaultdict(list), {1, 2}, torch.Size([1])),
    }


SAVED: dict[str, Callable[[], State]] = {
    "data parallel": lambda: prefixed("module."),
    "compiled": lambda: prefixed("_orig_mod."),
    "both": lambda: prefixed("module._orig_mod."),
    "one prefix": lambda: prefixed("model."),
    "any prefix": lambda: prefixed("learner.clip_model."),
    "wrapped in the middle": wrapped_in_the_middle,
    "an average": lambda: {**prefixed("module."), "n_averaged": torch.tensor(3)},
    "Lightning": lightning,
    "OpenCLIP": lambda: {"epoch": 3, "state_dict": prefixed("module."), "optimizer": optimizer(), "scaler": {"s": 1.0}},
    "under model": lambda: {"model": makers_state(), "args": argparse.Namespace(rate=0.1), "optimizer": optimizer()},
    "under model_state_dict": lambda: {"model_state_dict": makers_state(), "loss": torch.tensor(0.3), "epoch": 3},
    "DeepSpeed": lambda: {"module": makers_state(), "param_shapes": [{"a": torch.Size([1])}], "dp_world_size": 1},
    "under any key": lambda: {"net": makers_state(), "optimizer": optimizer()},
    "twice": lambda: {"model": makers_state(), "model_ema": {**prefixed("module."), "n_averaged": torch.tensor(3)}},
    "inside another": lambda: {"model": {"state_dict": makers_state(), "step": 4}},
    "NumPy's numbers": lambda: {"state_dict": makers_state(), "epoch": np.int64(3), "best": np.float64(0.5)},
    "everything else": everything_else,
    "parameters": lambda: {"state_dict": {name: torch.nn.Parameter(tensor) for name, tensor in makers_state().items()}},
    "WiSE-FT": lambda: {**prefixed("image_encoder.model."), "classification_head.weight": torch.zeros(10, 48)},
}


@pytest.mark.parametrize("case", SAVED)
def test_the_weights_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "of_a_training_script", types.ModuleType("of_a_training_script"))
        patch.setattr(sys.modules["of_a_training_script"], "Settings", Settings, raising=False)
        torch.save(SAVED[case](), tmp_path / "last.ckpt")
    checkpoint = load_checkpoint(tmp_path / "last.ckpt")
    assert checkpoint.space_id() == load_checkpoint(OPENAI).space_id()
    assert gives_the_makers_features(checkpoint)


def test_a_prefix_is_taken_off_in_safetensors_too(tmp_path: Path) -> None:
    save_file({name: tensor.contiguous() for name, tensor in prefixed("model.").items()}, tmp_path / "a.safetensors")
    assert load_checkpoint(tmp_path / "a.safetensors").space_id() == load_checkpoint(OPENAI).space_id()


@pytest.mark.parametrize(("layout", "config"), [("hf-clip", "config.json"), ("openclip-rn", "open_clip_config.json")])
def test_a_prefix_is_taken_off_where_a_config_lies_beside_the_file(tmp_path: Path, layout: str, config: str) -> None:
    for name in (config, "preprocessor_config.json"):
        if (REFERENCE / layout / name).is_file():
            shutil.copyfile(REFERENCE / layout / name, tmp_path / name)
    (weights,) = (REFERENCE / layout).glob("*.safetensors")
    tensors = {f"clip.module.{name}": tensor for name, tensor in load_file(weights).items()}
    torch.save({"state_dict": tensors, "epoch": 1}, tmp_path / "last.ckpt")
    assert load_checkpoint(tmp_path / "last.ckpt").space_id() == load_checkpoint(REFERENCE / layout).space_id()


def test_that_a_classification_head_is_left_out_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save(SAVED["WiSE-FT"](), tmp_path / "wise.pt")
    load_checkpoint(tmp_path / "wise.pt")
    assert "the classification head beside the model is left out: classification_head.weight" in caplog.text


# What is left as it is


def test_two_models_in_one_table_are_not_told_apart(tmp_path: Path) -> None:
    torch.save({"student": makers_state(), "teacher": makers_state()}, tmp_path / "two.pt")
    with pytest.raises(
        CheckpointError, match=r"holds 124 tensors \(student.ln_final.bias, .* \.\.\.\) that are neither"
    ):
        load_checkpoint(tmp_path / "two.pt")


@pytest.mark.parametrize(
    "names",
    [
        ["visual.conv1.weight", "logit_scale"],
        ["vision_model.a", "text_model.b"],
        ["model.visual.a", "loss.bias"],  # what a loss adds may matter, so nothing is dropped in silence
        ["encoder.a", "encoder.b"],
        ["visual.module.a", "visual.a"],
        [],
    ],
)
def test_names_that_share_no_prefix_or_are_no_models_stay(names: list[str]) -> None:
    tensors = {name: np.zeros(1) for name in names}
    assert list(bare_names(tensors)) == names


# What is refused


class Hostile:
    """A pickle that would run a command."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def test_a_call_beside_the_weights_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    torch.save({"state_dict": makers_state(), "args": Hostile(tmp_path / "ran")}, tmp_path / "evil.pt")
    with pytest.raises(CheckpointError, match=r"asks for posix\.system; only tensors are read"):
        load_checkpoint(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("how", ["saved", "inside a table", "pickled"])
def test_a_model_that_was_pickled_whole_is_refused_by_what_it_is(tmp_path: Path, how: str) -> None:
    path, model = tmp_path / "model.pt", torch.nn.Linear(2, 2)
    if how == "pickled":
        path.write_bytes(pickle.dumps(model))
    else:
        torch.save(model if how == "saved" else {"model": model, "epoch": 1}, path)
    with pytest.raises(CheckpointError, match=r"pickled here \(torch.nn.modules.linear.Linear\), .*state_dict\(\)"):
        load_checkpoint(path)


def test_a_table_that_holds_itself_is_no_loop(tmp_path: Path) -> None:
    table: State = {"a": {}}
    table["a"]["a"] = table
    torch.save(table, tmp_path / "loop.pt")
    with pytest.raises(CheckpointError, match=r"no tensors|nested"):
        load_checkpoint(tmp_path / "loop.pt")


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"GGUF\x03\0\0\0", "is a GGUF file"),
        (b"\x89HDF\r\n\x1a\n", "holds TensorFlow's weights"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "is a pointer of Git LFS"),
        (b"<!DOCTYPE html>", "is a web page"),
    ],
)
def test_another_kind_of_file_is_named(tmp_path: Path, start: bytes, said: str) -> None:
    (tmp_path / "model.bin").write_bytes(start)
    with pytest.raises(CheckpointError, match=said):
        load_checkpoint(tmp_path / "model.bin")


def test_a_tensor_that_is_meant_with_another_sign_is_refused(tmp_path: Path) -> None:
    state = makers_state()
    name = "ln_final.weight"
    state[name] = torch.complex(torch.zeros_like(state[name].float()), -state[name].float()).conj().imag
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"stored as a view \(neg\)"):
        load_checkpoint(tmp_path / "a.pt")
