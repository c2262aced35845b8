"""clipwright's own model file: one safetensors file that is a whole model (docs/concepts/model-file.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from clipwright.atomic import replacing
from clipwright.checkpoints.checkpoint import Checkpoint, canonical_json, config_table, read_config
from clipwright.errors import CheckpointError, RecipeError
from clipwright.inputs.input_spec import InputSpec
from clipwright.records import read_record, write_record

FORMAT_VERSION = 1
SUFFIX = ".safetensors"
_TOKENIZER = "tokenizer"
_HALVED_NDIM = 2
"""Matrices and kernels are stored as float16; gains, biases, statistics and the temperature stay float32."""


def save_model(path: Path, checkpoint: Checkpoint) -> None:
    """Writes the model to path, whole or not at all. Weights are rounded to float16 where they have two axes or more.

    Raises CheckpointError where a weight does not fit float16, and OSError where the disk refuses.
    """
    tensors: dict[str, np.ndarray] = {_TOKENIZER: np.frombuffer(checkpoint.tokenizer.encode(), np.uint8)}
    for name, array in checkpoint.weights.items():
        tensors[name] = _stored(name, array)
    header = {
        "format": "np",
        "clipwright": str(FORMAT_VERSION),
        "config": canonical_json(config_table(checkpoint.config)).decode(),
        "input_spec": canonical_json(write_record(checkpoint.spec)).decode(),
        "provenance": canonical_json(dict(checkpoint.provenance)).decode(),
    }
    with replacing(path) as temporary:
        save_file(tensors, temporary, header)


def _stored(name: str, array: np.ndarray) -> np.ndarray:
    if array.ndim < _HALVED_NDIM:
        return np.ascontiguousarray(array, np.float32)
    largest = float(np.abs(array).max(initial=0))
    if not largest <= np.finfo(np.float16).max:
        raise CheckpointError(f"weight {name!r} holds {largest:g}, which float16 cannot; was the training stable?")
    return np.ascontiguousarray(array, np.float16)


def is_model_file(path: Path) -> bool:
    """Whether this file says of itself that it is clipwright's."""
    try:
        with safe_open(path, framework="numpy") as file:
            return "clipwright" in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def load_model(path: Path) -> Checkpoint:
    """The model in the file at path; weights as stored. Raises CheckpointError saying what is wrong with it."""
    try:
        with safe_open(path, framework="numpy") as file:
            header = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{str(path)!r} cannot be read as a model: {error}") from error
    version = header.get("clipwright")
    if version is None:
        raise CheckpointError(f"{str(path)!r} is no model of clipwright: its header lacks 'clipwright'")
    if version != str(FORMAT_VERSION):
        raise CheckpointError(
            f"{str(path)!r} has format {version}, this clipwright reads {FORMAT_VERSION}; update clipwright"
        )
    if _TOKENIZER not in tensors:
        raise CheckpointError(f"{str(path)!r} lacks its tokenizer")
    tokenizer = tensors.pop(_TOKENIZER).tobytes().decode()
    try:
        return Checkpoint(
            config=read_config(_header_table(header, "config", path), "config"),
            spec=read_record(InputSpec, _header_table(header, "input_spec", path), "input_spec"),
            tokenizer=tokenizer,
            weights=tensors,
            provenance=_header_table(header, "provenance", path),
        )
    except RecipeError as error:
        raise CheckpointError(f"{str(path)!r} has a header that does not fit: {error}") from error


def _header_table(header: Mapping[str, str], key: str, path: Path) -> dict[str, Any]:
    try:
        table = json.loads(header[key])
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{str(path)!r} has no readable {key!r} in its header") from error
    if not isinstance(table, dict):
        raise CheckpointError(f"{str(path)!r} has a {key!r} in its header that is no table")
    return table
