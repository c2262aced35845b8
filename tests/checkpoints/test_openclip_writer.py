"""A folder written for OpenCLIP is the same model, here and (make test-slow) in open_clip itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.families.openclip_writer import write_openclip
from clipwright.checkpoints.folder import read_checkpoint
from clipwright.checkpoints.load import load_checkpoint
from clipwright.errors import CheckpointError
from tests.reference import reference_checkpoint

WRITABLE = ("openai-vit.pt", "openai-rn.pt", "openclip-vit-gelu", "openclip-vit-quickgelu", "openclip-rn", "hf-clip")


def same_tensors(a: Checkpoint, b: Checkpoint) -> bool:
    return a.weights.keys() == b.weights.keys() and all(
        np.array_equal(np.asarray(a.weights[name], np.float32), np.asarray(b.weights[name], np.float32))
        for name in a.weights
    )


@pytest.mark.parametrize("layout", WRITABLE)
def test_what_is_written_comes_back_exactly(tmp_path: Path, layout: str) -> None:
    checkpoint = reference_checkpoint(layout)
    write_openclip(checkpoint, tmp_path / "model")
    back = read_checkpoint(tmp_path / "model")
    assert back.config == checkpoint.config
    assert same_tensors(back, checkpoint)


def test_the_starter_comes_back_with_its_words(tmp_path: Path) -> None:
    starter = load_checkpoint("starter")
    write_openclip(starter, tmp_path / "model")
    back = read_checkpoint(tmp_path / "model")
    assert (back.config, back.tokenizer, back.spec) == (starter.config, starter.tokenizer, starter.spec)
    assert same_tensors(back, starter)


def test_a_siglip_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot hold a SigLIP"):
        write_openclip(reference_checkpoint("hf-siglip"), tmp_path / "model")
    assert not (tmp_path / "model").exists()
