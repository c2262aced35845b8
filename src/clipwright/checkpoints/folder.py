"""From a file or a folder on the disk to a checkpoint: the layout is told by what is in it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.families import huggingface, openclip
from clipwright.checkpoints.families.openai import is_openai, read_openai
from clipwright.checkpoints.model_file import is_model_file, load_model
from clipwright.checkpoints.tensor_files import read_tensors
from clipwright.errors import CheckpointError
from clipwright.model.shapes import check_shapes

_OPENCLIP_TENSORS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin", "model.safetensors")
_HUGGINGFACE_TENSORS = ("model.safetensors", "pytorch_model.bin")
_INDEX = ".index.json"
"""Ends the name of the table that says which of several files holds a tensor."""
_LARGEST_JSON = 256 * 2**20
OUR_FILE = "model.safetensors"
_ENDINGS = (".json", ".safetensors", ".bin")
"""Of the files in a folder that say what the model is."""


def read_checkpoint(path: Path) -> Checkpoint:
    """The model in a file or a folder of any layout that is known. No network is touched.

    Raises CheckpointError saying what was looked for, or which tensors do not fit.
    """
    checkpoint = _read_folder(path) if path.is_dir() else _read_file(path)
    try:
        check_shapes(checkpoint.config, {name: array.shape for name, array in checkpoint.weights.items()})
    except CheckpointError as error:
        raise CheckpointError(f"{str(path)!r}: {error}") from error
    return dataclasses.replace(checkpoint, files=_files_of(path))


def _files_of(path: Path) -> tuple[Path, ...]:
    """Also of a file whose config lies beside it, all that lie there."""
    if not path.is_dir() and not _has_config(path.parent):
        return (path,)
    folder = path if path.is_dir() else path.parent
    beside = {file for file in folder.iterdir() if file.suffix in _ENDINGS and file.is_file()}
    return tuple(sorted(beside if path.is_dir() else beside | {path}))


def _read_file(path: Path) -> Checkpoint:
    if is_model_file(path):
        return load_model(path)
    tensors = read_tensors(path)
    if is_openai(tensors):
        return read_openai(tensors)
    if path.name in (*_OPENCLIP_TENSORS, *_HUGGINGFACE_TENSORS) and _has_config(path.parent):
        return _read_folder(path.parent)
    first = ", ".join(sorted(tensors)[:3])
    raise CheckpointError(
        f"{str(path)!r} holds {len(tensors)} tensors ({first} ...) that are neither clipwright's own nor OpenAI's;"
        " for OpenCLIP and Hugging Face name the folder that holds their config too"
    )


def _has_config(folder: Path) -> bool:
    return (folder / openclip.CONFIG_FILE).is_file() or (folder / huggingface.CONFIG_FILE).is_file()


def _read_folder(folder: Path) -> Checkpoint:
    if is_model_file(folder / OUR_FILE):
        return load_model(folder / OUR_FILE)
    if (folder / openclip.CONFIG_FILE).is_file():
        config = _read_json(folder / openclip.CONFIG_FILE)
        return openclip.read_openclip(config, _tensors(folder, _OPENCLIP_TENSORS), _tokenizer(folder))
    if (folder / huggingface.CONFIG_FILE).is_file():
        preprocessor = folder / huggingface.PREPROCESSOR_FILE
        tokenizer_config = folder / "tokenizer_config.json"
        return huggingface.read_huggingface(
            _read_json(folder / huggingface.CONFIG_FILE),
            _read_json(preprocessor) if preprocessor.is_file() else None,
            _tensors(folder, _HUGGINGFACE_TENSORS),
            _tokenizer(folder),
            _read_json(tokenizer_config) if tokenizer_config.is_file() else {},
        )
    raise CheckpointError(
        f"{str(folder)!r} holds no model that is known: looked for {OUR_FILE} of clipwright, {openclip.CONFIG_FILE}"
        f" (OpenCLIP) and {huggingface.CONFIG_FILE} (Hugging Face)"
    )


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


def _tokenizer(folder: Path) -> str | None:
    path = folder / "tokenizer.json"
    return _read_text(path) if path.is_file() else None


def _read_text(path: Path) -> str:
    if path.stat().st_size > _LARGEST_JSON:
        raise CheckpointError(f"{str(path)!r} has {path.stat().st_size:,} bytes; that is no such file")
    try:
        return path.read_text(encoding="utf-8")
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
