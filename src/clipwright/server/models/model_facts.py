"""What is known of a model that is served."""

from __future__ import annotations

from dataclasses import dataclass

from clipwright.inputs.input_spec import InputSpec


@dataclass(frozen=True)
class ModelFacts:
    """A model that is served."""

    name: str
    """As requests and answers call it."""
    space_id: str
    embed_dim: int
    scale: float
    bias: float | None
    """As Embedder has them: what label_probabilities takes."""
    spec: InputSpec
    variant: str
    backend: str
