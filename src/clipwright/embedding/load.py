"""From the name of a model to an Embedder."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.load import load_checkpoint
from clipwright.embedding.backends.onnx import OnnxBackend
from clipwright.embedding.embedder import Embedder, Pixels
from clipwright.inputs.tokenizer import Tokenizer


def load_embedder(name: str | Path, threads: int | None = None, pixels: Pixels = "exact") -> Embedder:
    """The embedder of a model: 'starter', a published one's short name, a file or folder, or a repository of the hub.

    threads bounds the processor cores that the towers use; None takes all. pixels: exact as the model's maker prepares
    them, or fast, which decodes large JPEGs at a fraction of their size.
    Raises UnknownModelError where there is no such model and CheckpointError where its files are damaged.
    """
    return embedder_from(load_checkpoint(name), str(name), threads, pixels)


def embedder_from(checkpoint: Checkpoint, name: str, threads: int | None = None, pixels: Pixels = "exact") -> Embedder:
    """The embedder of a checkpoint, called by this name in messages."""
    bias = checkpoint.weights.get("logit_bias")
    tokenizer = None if checkpoint.tokenizer is None else Tokenizer(checkpoint.tokenizer, checkpoint.spec)
    return Embedder(
        name=name,
        space_id=checkpoint.space_id(),
        embed_dim=checkpoint.config.embed_dim,
        scale=math.exp(float(np.asarray(checkpoint.weights["logit_scale"]))),
        spec=checkpoint.spec,
        tokenizer=tokenizer,
        backend=OnnxBackend(checkpoint, threads),
        bias=None if bias is None else float(np.asarray(bias)),
        pixels=pixels,
    )
