"""A folder written for Hugging Face is the same model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clipwright.checkpoints.families.huggingface_writer import write_huggingface
from clipwright.checkpoints.folder import read_checkpoint
from clipwright.errors import CheckpointError
from clipwright.inputs.tokenizer import Tokenizer
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
