"""From a file or a folder on the disk to a checkpoint: the layout is told by what is in it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.families import huggingface, openclip
from clipwright.checkpoints.families.openai import is_openai, read_openai, says_all
from clipwright.checkpoints.model_file import is_model_file, load_model
from clipwright.checkpoints.tensor_files import read_tensors
from clipwright.errors import CheckpointError, TokenizerError
from clipwright.inputs.sentencepiece_model import sentencepiece_document
from clipwright.model.shapes import check_shapes

_OPENCLIP_TENSORS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin", "model.safetensors")
_HUGGINGFACE_TENSORS = ("model.safetensors", "pytorch_model.bin")
_INDEX = ".index.json"
"""Ends the name of the table that says which of several files holds a tensor."""
_LARGEST_JSON = 256 * 2**20
OUR_FILE = "model.safetensors"
_ENDINGS = (".json", ".safetensors", ".bin", ".model")
"""Of the files in a folder that say what the model is."""
SENTENCEPIECE_FILE = "spiece.model"
"""What transformers saves of SigLIP's tokenizer, where there is no tokenizer.json."""


def read_checkpoint(path: Path) -> Checkpoint:
    """The model in a file or a folder of any layout that is known. No network is touched.

    Raises CheckpointError saying what was looked for, or which tensors do not fit.
    """
    checkpoint = _read_folder(path) if path.is_dir() else _read_file(path)
    with _naming(path):
        check_shapes(checkpoint.config, {name: array.shape for name, array in checkpoint.weights.items()})
    return dataclasses.replace(checkpoint, files=_files_of(path))


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Puts the path before what is wrong with it."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{str(path)!r}: {error}") from error


def _files_of(path: Path) -> tuple[Path, ...]:
    """Also of a file whose config lies beside it, all that lie there."""
    folder = path if path.is_dir() else path.parent
    has_config = any((folder / name).is_file() for name in (openclip.CONFIG_FILE, huggingface.CONFIG_FILE))
    if not path.is_dir() and not has_config:
        return (path,)
    beside = {file for file in folder.iterdir() if file.suffix in _ENDINGS and file.is_file()}
    return tuple(sorted(beside if path.is_dir() else beside | {path}))


def _read_file(path: Path) -> Checkpoint:
    if is_model_file(path):
        return load_model(path)
    tensors = read_tensors(path)
    if is_openai(tensors) and says_all(tensors):
        with _naming(path):
            return read_openai(tensors)
    beside = _read_layout(path.parent, tensors)  # a config there says what the tensors leave open, the activation first
    if beside is not None:
        return beside
    if is_openai(tensors):
        with _naming(path):
            return read_openai(tensors)
    first = ", ".join(sorted(tensors)[:3])
    raise CheckpointError(
        f"{str(path)!r} holds {len(tensors)} tensors ({first} ...) that are neither clipwright's own nor OpenAI's;"
        " for OpenCLIP and Hugging Face name the folder that holds their config too"
    )


def _read_folder(folder: Path) -> Checkpoint:
    if is_model_file(folder / OUR_FILE):
        return load_model(folder / OUR_FILE)
    checkpoint = _read_layout(folder, None)
    if checkpoint is not None:
        return checkpoint
    raise CheckpointError(
        f"{str(folder)!r} holds no model that is known: looked for {OUR_FILE} of clipwright, {openclip.CONFIG_FILE}"
        f" (OpenCLIP) and {huggingface.CONFIG_FILE} (Hugging Face)"
    )


def _read_layout(folder: Path, tensors: Mapping[str, np.ndarray] | None) -> Checkpoint | None:
    """The model that a folder's config describes, of these tensors or those of the folder; None where no config is."""
    if (folder / openclip.CONFIG_FILE).is_file():
        config = _read_json(folder / openclip.CONFIG_FILE)
        tensors = tensors if tensors is not None else _tensors(folder, _OPENCLIP_TENSORS)
        tokenizer, tokenizer_config = _tokenizer(folder)
        with _naming(folder):
            return openclip.read_openclip(config, tensors, tokenizer, tokenizer_config)
    if (folder / huggingface.CONFIG_FILE).is_file():
        config, preprocessor = _read_json(folder / huggingface.CONFIG_FILE), _preprocessor(folder)
        tensors = tensors if tensors is not None else _tensors(folder, _HUGGINGFACE_TENSORS)
        tokenizer, tokenizer_config = _tokenizer(folder)
        with _naming(folder):
            return huggingface.read_huggingface(config, preprocessor, tensors, tokenizer, tokenizer_config)
    return None


def _preprocessor(folder: Path) -> Mapping[str, Any] | None:
    table = _json_if_there(folder / huggingface.PREPROCESSOR_FILE)
    if table is not None:
        return table
    inner = (_json_if_there(folder / huggingface.PROCESSOR_FILE) or {}).get("image_processor")
    return inner if isinstance(inner, Mapping) else None


def _json_if_there(path: Path) -> Mapping[str, Any] | None:
    return _read_json(path) if path.is_file() else None


def _tensors(folder: Path, names: tuple[str, ...]) -> Mapping[str, np.ndarray]:
    """The tensors of the first of these files that is there, in one piece or in several."""
    for name in names:
        if (folder / name).is_file():
            return read_tensors(folder / name)
        if (folder / f"{name}{_INDEX}").is_file():
            return _sharded(folder, folder / f"{name}{_INDEX}")
    raise CheckpointError(f"{str(folder)!r} has a config but no weights: looked for {', '.join(names)}")


def _sharded(folder: Path, index: Path) -> Mapping[str, np.ndarray]:
    table = _read_json(index).get("weight_map")
    if not isinstance(table, dict) or not all(isinstance(name, str) for name in table.values()):
        raise CheckpointError(f"{str(index)!r} lacks its weight_map")
    tensors: dict[str, np.ndarray] = {}
    for name in sorted(set(table.values())):
        if Path(name).name != name:
            raise CheckpointError(f"{str(index)!r} names {name!r}, which lies outside the folder")
        if not (folder / name).is_file():
            raise CheckpointError(f"{str(folder)!r} lacks {name}, which {index.name} names; was it downloaded whole?")
        tensors |= read_tensors(folder / name)
    return tensors


def _tokenizer(folder: Path) -> tuple[str | None, Mapping[str, Any]]:
    """The JSON document of the tokenizer, None where there is none, and the table of tokenizer_config.json."""
    path, pieces = folder / "tokenizer.json", folder / SENTENCEPIECE_FILE
    settings = _json_if_there(folder / "tokenizer_config.json") or {}
    if path.is_file() or not pieces.is_file():
        return _read_text(path) if path.is_file() else None, settings
    try:
        return sentencepiece_document(_read_bytes(pieces)), settings
    except TokenizerError as error:
        raise CheckpointError(f"{str(pieces)!r}: {error}") from error


def _read_bytes(path: Path) -> bytes:
    if path.stat().st_size > _LARGEST_JSON:
        raise CheckpointError(f"{str(path)!r} has {path.stat().st_size:,} bytes; that is no such file")
    return path.read_bytes()


def _read_text(path: Path) -> str:
    try:
        return _read_bytes(path).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{str(path)!r} cannot be read: {error}") from error


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{str(path)!r} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{str(path)!r} must hold a table")
    return value
