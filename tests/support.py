"""What several test files need."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.inputs.input_spec import InputSpec
from clipwright.inputs.tokenizer import end_ids, train_tokenizer
from clipwright.model.config import ModelConfig, TextTransformerConfig, VisionTransformerConfig
from clipwright.model.dual_encoder import DualEncoder
from clipwright.model.weights import weights_of

DATA = Path(__file__).parent / "data"
REFERENCE = DATA / "reference"
"""Answers of the makers' own code; ../shared/reference tells how they were made."""


def equal_to_reference(ours: np.ndarray, theirs: np.ndarray, tolerance: float = 1e-5) -> bool:
    """Whether two fp32 results are the same, by the largest difference in units of the reference's largest."""
    largest = np.abs(theirs).max()
    return bool(np.abs(ours / largest - theirs / largest).max() < tolerance)


def tiny_checkpoint() -> Checkpoint:
    """A seeded model of two small towers that reads 32 px pictures; its vocabulary knows a few words."""
    torch.manual_seed(0)
    document = train_tokenizer(["a photo of a cat", "a photo of a dog", "a red car in the street"] * 3, 560)
    start, end = end_ids(document)
    config = ModelConfig(
        embed_dim=16,
        vision=VisionTransformerConfig(image_size=32, patch_size=8, width=32, layers=2, heads=2, mlp_width=64),
        text=TextTransformerConfig(context_length=16, vocab_size=560, width=32, layers=2, heads=2, mlp_width=64),
    )
    spec = InputSpec(image_size=32, context_length=16, start_id=start, end_id=end, pad_id=0)
    return Checkpoint(
        config=config,
        spec=spec,
        tokenizer=document,
        weights=weights_of(DualEncoder(config)),
        provenance={"name": "tiny", "licence": "MIT"},
    )
