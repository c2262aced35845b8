"""clipwright's own model file: one safetensors file that is a whole model (docs/concepts/model-file.md)."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from clipwright.atomic import replacing
from clipwright.checkpoints.checkpoint import Checkpoint, canonical_json, config_table, naming, read_config, spec_table
from clipwright.checkpoints.tensor_files import read_tensors
from clipwright.errors import CheckpointError, RecipeError
from clipwright.inputs.input_spec import InputSpec
from clipwright.model.shapes import check_shapes
from clipwright.records import read_record

MODEL_FILE = "model.safetensors"
"""The model's name in the folder of a run, and wherever a folder holds one of clipwright's own."""
UNFINISHED_FILE = "unfinished.safetensors"
"""The model of a run that is not done, as it was when the run was last saved."""
FORMAT_VERSION = 1
UNFINISHED = "unfinished"
"""In the provenance of a model whose training is not done: at which step it stands."""
_HEADER = "clipwright"
"""The one entry of safetensors' own metadata, whose order would not be the same twice."""
_TOKENIZER = "tokenizer"
_HALVED_NDIM = 2
"""Matrices and kernels are stored as float16; gains, biases, statistics and the temperature stay float32."""


def save_model(path: Path, checkpoint: Checkpoint) -> None:
    """Writes the model to path, whole or not at all. Weights are rounded to float16 where they have two axes or more.

    Raises CheckpointError where a weight does not fit, NaN among them, or the tokenizer is missing, OSError where the
    disk refuses.
    """
    if checkpoint.tokenizer is None:
        raise CheckpointError("the model has no tokenizer, without which the file would not be a whole model")
    tensors: dict[str, np.ndarray] = {_TOKENIZER: np.frombuffer(checkpoint.tokenizer.encode(), np.uint8)}
    for name, array in checkpoint.weights.items():
        tensors[name] = _stored(name, np.asarray(array))
    header = {
        "version": FORMAT_VERSION,
        "config": config_table(checkpoint.config),
        "input_spec": spec_table(checkpoint.spec),
        "provenance": dict(checkpoint.provenance),
    }
    with replacing(path) as temporary, _disk_errors():
        save_file(tensors, temporary, {_HEADER: canonical_json(header).decode()})


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    """Raises what the disk said, which safetensors hides, as an OSError."""
    try:
        yield
    except SafetensorError as error:
        raise OSError(str(error)) from error


def _stored(name: str, array: np.ndarray) -> np.ndarray:
    dtype: np.dtype[np.floating] = np.dtype(np.float32 if array.ndim < _HALVED_NDIM else np.float16)
    largest = float(np.abs(array).max(initial=0))
    if not largest <= float(np.finfo(dtype).max):
        raise CheckpointError(f"weight {name!r} holds {largest:g}, which {dtype} cannot; was the training stable?")
    return np.asarray(array, dtype, order="C")  # ascontiguousarray would give a scalar an axis


def is_model_file(path: Path) -> bool:
    """Whether this file says of itself that it is clipwright's."""
    try:
        with safe_open(path, framework="numpy") as file:
            return _HEADER in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def own_file(path: Path) -> Path | None:
    """clipwright's own file at a path, where it is one or a folder with one."""
    files = (path / MODEL_FILE, path / UNFINISHED_FILE) if path.is_dir() else (path,)
    return next((file for file in files if is_model_file(file)), None)


def load_model(path: Path) -> Checkpoint:
    """The model in the file at path; weights as stored, memory-mapped. Raises CheckpointError saying what is wrong."""
    tensors = read_tensors(path)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{str(path)!r} cannot be read as a model: {error}") from error
    if _HEADER not in metadata:
        raise CheckpointError(f"{str(path)!r} is no model of clipwright: its header lacks {_HEADER!r}")
    header = _read_header(metadata[_HEADER], path)
    if _TOKENIZER not in tensors:
        raise CheckpointError(f"{str(path)!r} lacks its tokenizer")
    tokenizer = tensors.pop(_TOKENIZER).tobytes().decode()
    try:
        checkpoint = Checkpoint(
            config=read_config(header["config"], "config"),
            spec=read_record(InputSpec, header["input_spec"], "input_spec"),
            tokenizer=tokenizer,
            weights=tensors,
            provenance=header["provenance"],
            files=(path,),
        )
    except RecipeError as error:
        raise CheckpointError(f"{str(path)!r} has a header that does not fit: {error}") from error
    if checkpoint.config.text.sees_padding and checkpoint.spec.padding != "context":
        raise CheckpointError(
            f"{str(path)!r} was trained by an earlier clipwright on texts that were padded to their batch, which its"
            " text tower sees: a text would have another vector in other company; train it again"
        )
    with naming(path):
        check_shapes(checkpoint.config, {name: array.shape for name, array in tensors.items()})
    return checkpoint


def _read_header(text: str, path: Path) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except ValueError as error:
        raise CheckpointError(f"{str(path)!r} has a header that is no JSON: {error}") from error
    version = header.get("version") if isinstance(header, dict) else None
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{str(path)!r} has format {version}, this clipwright reads {FORMAT_VERSION}; update clipwright"
        )
    missing = [key for key in ("config", "input_spec", "provenance") if not isinstance(header.get(key), dict)]
    if missing:
        raise CheckpointError(f"{str(path)!r} lacks {', '.join(missing)} in its header")
    return dict(header)
