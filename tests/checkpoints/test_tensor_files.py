"""Files of tensors are read by their content, memory-mapped, and nothing in them runs."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from clipwright.checkpoints.tensor_files import read_tensors
from clipwright.errors import CheckpointError

TENSORS = {
    "half": torch.randn(4, 3).half(),
    "single": torch.randn(5),
    "brain": torch.randn(2, 2).bfloat16(),
    "whole": torch.arange(6).reshape(2, 3),
    "nothing": torch.zeros(0, 3),
    "scalar": torch.tensor(2.5),
}


@pytest.mark.parametrize("kind", ["torch", "safetensors"])
def test_every_tensor_comes_as_it_was_saved(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.bin"  # its name says nothing
    if kind == "torch":
        torch.save(TENSORS, path)
    else:
        save_file(TENSORS, path)
    read = read_tensors(path)
    assert read.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert np.array_equal(read[name].astype(np.float64), tensor.double().numpy())
        assert read[name].shape == tuple(tensor.shape)
    assert read["brain"].dtype == ml_dtypes.bfloat16
    assert not read["single"].flags.writeable


def test_views_into_a_storage_come_with_their_strides(tmp_path: Path) -> None:
    whole = torch.arange(24.0).reshape(4, 6)
    torch.save({"turned": whole.T, "part": whole[1:3, 2:5]}, tmp_path / "a.pt")
    read = read_tensors(tmp_path / "a.pt")
    assert np.array_equal(read["turned"], whole.T.numpy())
    assert np.array_equal(read["part"], whole[1:3, 2:5].numpy())


def test_the_weights_of_a_training_checkpoint_are_found(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "state_dict": {"a.b": torch.ones(2)}, "optimizer": {}}, tmp_path / "a.pt")
    assert read_tensors(tmp_path / "a.pt").keys() == {"a.b"}


class Hostile:
    """A pickle that would run a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


def archive(path: Path, pickled: bytes) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", pickled)


def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    archive(tmp_path / "evil.pt", pickle.dumps(Hostile(f"touch {tmp_path / 'ran'}"), protocol=2))
    with pytest.raises(CheckpointError, match=r"asks for posix\.system; only tensors are read"):
        read_tensors(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["torch.load", "builtins.eval", "torch._utils._rebuild_device_tensor_from_numpy"])
def test_nothing_but_what_rebuilds_tensors_is_found(tmp_path: Path, name: str) -> None:
    module, _, attribute = name.rpartition(".")
    archive(tmp_path / "evil.pt", f"c{module}\n{attribute}\n(S'1+1'\ntR.".encode())
    with pytest.raises(CheckpointError, match="only tensors are read"):
        read_tensors(tmp_path / "evil.pt")


@pytest.mark.parametrize("kind", ["torch", "safetensors"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
def test_a_truncated_file_is_refused(tmp_path: Path, kind: str, kept: float) -> None:
    path = tmp_path / "model"
    big = {"a": torch.randn(200, 200)}
    if kind == "torch":
        torch.save(big, path)
    else:
        save_file(big, path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(CheckpointError, match=r"cut short or damaged .*fetch it again"):
        read_tensors(path)


def test_a_tensor_beyond_its_storage_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(4, 4)}, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(tmp_path / "b.pt", "w") as file:
        for name, data in members.items():
            file.writestr(name, data.replace(b"K\x04K\x04\x86", b"K\x09K\x09\x86") if name.endswith(".pkl") else data)
    with pytest.raises(CheckpointError, match="beyond its storage"):
        read_tensors(tmp_path / "b.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; fetch it again"),
        (b"plain text, no tensors", "neither a safetensors file nor"),
        (b"\x80\x02}q\x00.", "before torch 1.6"),
        (b"PK\x03\x04 not really", "cut short or damaged"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        read_tensors(tmp_path / "file")


def test_a_zip_that_is_not_of_torch_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("readme.txt", "hello")
    with pytest.raises(CheckpointError, match="not one of torch"):
        read_tensors(tmp_path / "a.zip")
