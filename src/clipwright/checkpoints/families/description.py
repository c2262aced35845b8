"""Description: what a layout's configs say of a model whose towers somebody else runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clipwright.inputs.input_spec import InputSpec


@dataclass(frozen=True, kw_only=True)
class Description:
    """How inputs are prepared and outputs are meant. Nothing in it needs weights."""

    spec: InputSpec
    tokenizer: str | None
    """JSON document of the tokenizers library; None where there is none."""
    embed_dim: int
    vocab_size: int | None
    """How many ids the text tower knows; None where the configs do not say it."""
    scores: Literal["softmax", "sigmoid"]
    """How similarities become probabilities; see ModelConfig."""
