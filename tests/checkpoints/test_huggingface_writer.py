"""A folder written for Hugging Face is the same model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.families.huggingface_writer import write_huggingface
from clipwright.checkpoints.folder import read_checkpoint
from clipwright.errors import CheckpointError
from clipwright.inputs.tokenizer import Tokenizer
from clipwright.model.shapes import weight_shapes
from tests.checkpoints.test_openclip_writer import same_tensors
from tests.reference import reference_checkpoint
from tests.support import tiny_checkpoint

WRITABLE = ("openai-vit.pt", "openclip-vit-gelu", "hf-clip", "hf-clip-eos2", "hf-siglip", "openclip-siglip-timm")


@pytest.mark.parametrize("layout", WRITABLE)
def test_what_is_written_comes_back_exactly(tmp_path: Path, layout: str) -> None:
    checkpoint = reference_checkpoint(layout)
    write_huggingface(checkpoint, tmp_path / "model")
    back = read_checkpoint(tmp_path / "model")
    assert back.config == checkpoint.config
    assert same_tensors(back, checkpoint)
    assert (back.spec.end_id, back.spec.pad_id, back.spec.resize) == (
        checkpoint.spec.end_id,
        checkpoint.spec.pad_id,
        checkpoint.spec.resize,
    )


def uneven_siglip() -> Checkpoint:
    """Towers of different width, as in SigLIP 2's giant-opt, with random weights."""
    siglip = reference_checkpoint("hf-siglip")
    text = replace(siglip.config.text, width=48, mlp_width=80)
    config = replace(siglip.config, text=text)
    chance = np.random.default_rng(0)
    weights = {
        name: (chance.standard_normal(shape) * 0.2).astype(np.float32) for name, shape in weight_shapes(config).items()
    }
    return replace(siglip, config=config, weights=weights)


def test_a_siglip_with_towers_of_different_width_comes_back(tmp_path: Path) -> None:
    checkpoint = uneven_siglip()
    write_huggingface(checkpoint, tmp_path / "model")
    back = read_checkpoint(tmp_path / "model")
    assert (back.config, back.spec.end_id) == (checkpoint.config, checkpoint.spec.end_id)
    assert same_tensors(back, checkpoint)


def test_texts_become_the_same_ids(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint()
    write_huggingface(checkpoint, tmp_path / "model")
    back = read_checkpoint(tmp_path / "model")
    texts = ["a photo of a cat", "  A  PHOTO of\n a Dog ", "", "red, car! 12", "a " * 40]
    ours, theirs = (Tokenizer(str(model.tokenizer), model.spec).encode(texts) for model in (checkpoint, back))
    assert np.array_equal(ours.ends, theirs.ends)
    for a, b, end in zip(ours.ids, theirs.ids, ours.ends, strict=True):  # what pads them may differ
        assert np.array_equal(a[: end + 1], b[: end + 1])


def test_a_resnet_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot hold a ResNet"):
        write_huggingface(reference_checkpoint("openai-rn.pt"), tmp_path / "model")
    assert not (tmp_path / "model").exists()
