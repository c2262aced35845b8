"""From the name of a model to an Embedder."""

from __future__ import annotations

import math
from pathlib import Path

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.load import load_checkpoint
from clipwright.embedding.embedder import Embedder
from clipwright.inputs.tokenizer import Tokenizer


def load_embedder(name: str | Path, threads: int | None = None) -> Embedder:
    """The embedder of a model: 'starter', or the path of a model file.

    threads bounds the processor cores that the towers use in this process; None takes all.
    Raises UnknownModelError where there is no such model and CheckpointError where its file is damaged.
    """
    return embedder_from(load_checkpoint(name), str(name), threads)


def embedder_from(checkpoint: Checkpoint, name: str, threads: int | None = None) -> Embedder:
    """The embedder of a checkpoint, called by this name in messages."""
    from clipwright.embedding.backends.torch import TorchBackend

    return Embedder(
        name=name,
        space_id=checkpoint.space_id(),
        embed_dim=checkpoint.config.embed_dim,
        scale=math.exp(float(checkpoint.weights["logit_scale"])),
        tokenizer=Tokenizer(checkpoint.tokenizer, checkpoint.spec),
        backend=TorchBackend.from_checkpoint(checkpoint, threads),
    )
