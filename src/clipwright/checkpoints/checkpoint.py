"""Checkpoint: a whole model as plain values, whatever layout it came from; and the identity of its space."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clipwright.errors import CheckpointError
from clipwright.inputs.input_spec import InputSpec
from clipwright.model.config import ModelConfig, ResNetConfig, VisionTransformerConfig
from clipwright.records import read_record, write_record

_LARGEST_LOGIT_SCALE = 88.0
"""A float32 holds the exponential of no more."""
_LATER_KEYS = ("scores", "pool", "patch_bias", "input_norm", "projection", "causal", "projection_bias")
_LATER_SPEC_KEYS = ("padding_side", "truncation_side", "with_end")
TOWER_KINDS: dict[str, type] = {"vit": VisionTransformerConfig, "resnet": ResNetConfig}
"""How a vision tower is called in recipes and in model files."""


class JoinedRows:
    """Arrays one below the other that are put together only when they are read; np.asarray makes the whole.

    Some layouts keep apart what is one matrix here. Joined at once, a memory-mapped model would fill the memory.
    """

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
        self.parts = tuple(parts)
        self.shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])
        self.ndim = len(self.shape)
        self.size = sum(part.size for part in parts)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.concatenate([np.asarray(part, dtype) for part in self.parts])


Weights = Mapping[str, "np.ndarray | JoinedRows"]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Config, input spec, tokenizer and weights of one model. Weights are arrays in clipwright's own names."""

    config: ModelConfig
    spec: InputSpec
    tokenizer: str | None
    """JSON document of the tokenizers library; None where the source has none: then only token ids can be embedded."""
    weights: Weights
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Recipe, data, measured figures, licence: what a person wants to know of a model."""
    files: tuple[Path, ...] = ()
    """Where it was read from; a change of any of them may be a change of the model."""

    @property
    def embed_dim(self) -> int:
        return self.config.embed_dim

    @property
    def scale(self) -> float:
        """exp(logit_scale): what similarities are multiplied by."""
        logarithm = float(np.asarray(self.weights["logit_scale"]))
        if not abs(logarithm) < _LARGEST_LOGIT_SCALE:
            raise CheckpointError(f"logit_scale is {logarithm:g}, whose exponential no similarity can be multiplied by")
        return math.exp(logarithm)

    @property
    def bias(self) -> float | None:
        """What is then added to them; None where scores are a softmax."""
        bias = self.weights.get("logit_bias")
        return None if bias is None else float(np.asarray(bias))

    def space_id(self) -> str:
        """Sixteen hexadecimal digits that name the embedding space: SHA-256 over config, spec and weights as float32.

        The tokenizer counts too, since the same weights under another vocabulary mean other words. Raises
        CheckpointError where a weight is not finite: such a model has no space.
        """
        digest = hashlib.sha256()
        digest.update(canonical_json({"config": config_table(self.config), "spec": spec_table(self.spec)}))
        digest.update(hashlib.sha256((self.tokenizer or "").encode()).digest())
        for name in sorted(self.weights):
            array = _finite(name, self.weights[name])
            digest.update(f"{name} {array.shape}".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()[:16]


def check_finite(weights: Weights) -> None:
    """Raises CheckpointError naming the first weight that holds NaN or infinity. All of them are read."""
    for name in sorted(weights):
        _finite(name, weights[name])


def _finite(name: str, weight: np.ndarray | JoinedRows) -> np.ndarray:
    """The weight as float32, in memory order; raises CheckpointError where it is not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        array = np.asarray(weight, np.float32, order="C")
        suspect = not np.isfinite(array.sum())  # quick; of huge numbers the sum alone may be infinite
    wrong = np.count_nonzero(~np.isfinite(array)) if suspect else 0
    if wrong:
        raise CheckpointError(
            f"weight {name!r} holds {wrong:,} of {array.size:,} numbers that are NaN or infinite in float32;"
            " what such a model answers means nothing, so take another copy or an earlier state of it"
        )
    return array


def canonical_json(value: Any) -> bytes:
    """One spelling for equal values: keys sorted, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def config_table(config: ModelConfig) -> dict[str, Any]:
    """The config as plain values. Keys that came after the first models are left out at their default, so that what a
    model file says, and with it the space_id, stays what it was."""
    table: dict[str, Any] = write_record(config, TOWER_KINDS)
    for part, record in ((table, config), (table["vision"], config.vision), (table["text"], config.text)):
        _drop_defaults(part, record, _LATER_KEYS)
    return table


def spec_table(spec: InputSpec) -> dict[str, Any]:
    """The input spec as plain values, with the same left out."""
    table: dict[str, Any] = write_record(spec)
    _drop_defaults(table, spec, _LATER_SPEC_KEYS)
    return table


def _drop_defaults(table: dict[str, Any], record: Any, names: tuple[str, ...]) -> None:
    for key in dataclasses.fields(record):
        if key.name in names and table[key.name] == key.default:
            del table[key.name]


def read_config(table: object, where: str) -> ModelConfig:
    return read_record(ModelConfig, table, where, TOWER_KINDS)


@contextlib.contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Puts the path, or the name of a repository, before what is wrong with it."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{str(path)!r}: {error}") from error
