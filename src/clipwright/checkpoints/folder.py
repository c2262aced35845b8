"""From a file or a folder on the disk to a checkpoint: the layout is told by what is in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.families import huggingface, openclip, openclip_config
from clipwright.checkpoints.families.openai import is_openai, read_openai, says_all
from clipwright.checkpoints.model_file import is_model_file, load_model
from clipwright.checkpoints.onnx_repository import OnnxRepository, graph_names, has_graphs, read_onnx_repository
from clipwright.checkpoints.small_files import naming, preprocessor_table, read_json, tokenizer_files
from clipwright.checkpoints.tensor_files import read_tensors
from clipwright.errors import CheckpointError
from clipwright.model.shapes import check_shapes

_OPENCLIP_TENSORS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin", "model.safetensors")
_HUGGINGFACE_TENSORS = ("model.safetensors", "pytorch_model.bin")
_INDEX = ".index.json"
"""Ends the name of the table that says which of several files holds a tensor."""
WEIGHTS_FILES = tuple(f"{name}{end}" for name in {*_OPENCLIP_TENSORS, *_HUGGINGFACE_TENSORS} for end in ("", _INDEX))
"""What any weights that are read here are called."""
OUR_FILE = "model.safetensors"
_ENDINGS = (".json", ".safetensors", ".bin", ".model", ".txt")
"""Of the files in a folder that say what the model is."""


def read_model(path: Path) -> Checkpoint | OnnxRepository:
    """The model in a file or a folder. Where a folder has weights, these count, for graphs that are made here are
    faster; where it has ready graphs only, these. Raises as read_checkpoint."""
    if _has_only_graphs(path):
        return read_onnx_repository(path)
    return read_checkpoint(path)


def read_checkpoint(path: Path) -> Checkpoint:
    """The model in a file or a folder of any layout that is known. No network is touched.

    Raises CheckpointError saying what was looked for, or which tensors do not fit.
    """
    checkpoint = _read_folder(path) if path.is_dir() else _read_file(path)
    with naming(path):
        check_shapes(checkpoint.config, {name: array.shape for name, array in checkpoint.weights.items()})
    return dataclasses.replace(checkpoint, files=_files_of(path))


def _files_of(path: Path) -> tuple[Path, ...]:
    """Also of a file whose config lies beside it, all that lie there."""
    folder = path if path.is_dir() else path.parent
    has_config = any((folder / name).is_file() for name in (openclip_config.CONFIG_FILE, huggingface.CONFIG_FILE))
    if not path.is_dir() and not has_config:
        return (path,)
    beside = {file for file in folder.iterdir() if file.suffix in _ENDINGS and file.is_file()}
    return tuple(sorted(beside if path.is_dir() else beside | {path}))


def _read_file(path: Path) -> Checkpoint:
    if is_model_file(path):
        return load_model(path)
    tensors = read_tensors(path)
    if is_openai(tensors) and says_all(tensors):
        with naming(path):
            return read_openai(tensors)
    beside = _read_layout(path.parent, tensors)  # a config there says what the tensors leave open, the activation first
    if beside is not None:
        return beside
    if is_openai(tensors):
        with naming(path):
            return read_openai(tensors)
    first = ", ".join(sorted(tensors)[:3])
    raise CheckpointError(
        f"{str(path)!r} holds {len(tensors)} tensors ({first} ...) that are neither clipwright's own nor OpenAI's;"
        " for OpenCLIP and Hugging Face name the folder that holds their config too"
    )


def _read_folder(folder: Path) -> Checkpoint:
    if is_model_file(folder / OUR_FILE):
        return load_model(folder / OUR_FILE)
    if _has_only_graphs(folder):
        raise CheckpointError(
            f"{str(folder)!r} holds ready ONNX graphs and no weights, which this needs; classify, similarity and embed"
            " run such graphs as they are"
        )
    checkpoint = _read_layout(folder, None)
    if checkpoint is not None:
        return checkpoint
    raise CheckpointError(
        f"{str(folder)!r} holds no model that is known: looked for {OUR_FILE} of clipwright,"
        f" {openclip_config.CONFIG_FILE} (OpenCLIP), {huggingface.CONFIG_FILE} (Hugging Face), and"
        f" ONNX graphs beside it ({graph_names()})"
    )


def _has_only_graphs(path: Path) -> bool:
    return has_graphs(path) and not any((path / name).exists() for name in WEIGHTS_FILES)


def _read_layout(folder: Path, tensors: Mapping[str, np.ndarray] | None) -> Checkpoint | None:
    """The model that a folder's config describes, of these tensors or those of the folder; None where no config is."""
    if (folder / openclip_config.CONFIG_FILE).is_file():
        config = read_json(folder / openclip_config.CONFIG_FILE)
        tensors = tensors if tensors is not None else _tensors(folder, _OPENCLIP_TENSORS)
        tokenizer, tokenizer_config = tokenizer_files(folder)
        with naming(folder):
            return openclip.read_openclip(config, tensors, tokenizer, tokenizer_config)
    if (folder / huggingface.CONFIG_FILE).is_file():
        config, preprocessor = read_json(folder / huggingface.CONFIG_FILE), preprocessor_table(folder)
        tensors = tensors if tensors is not None else _tensors(folder, _HUGGINGFACE_TENSORS)
        tokenizer, tokenizer_config = tokenizer_files(folder)
        with naming(folder):
            return huggingface.read_huggingface(config, preprocessor, tensors, tokenizer, tokenizer_config)
    return None


def _tensors(folder: Path, names: tuple[str, ...]) -> Mapping[str, np.ndarray]:
    """The tensors of the first of these files that is there, in one piece or in several."""
    for name in names:
        if (folder / name).is_file():
            return read_tensors(folder / name)
        if (folder / f"{name}{_INDEX}").is_file():
            return _sharded(folder, folder / f"{name}{_INDEX}")
    raise CheckpointError(
        f"{str(folder)!r} has a config but no weights: looked for {', '.join(names)}, or ONNX graphs ({graph_names()})"
    )


def _sharded(folder: Path, index: Path) -> Mapping[str, np.ndarray]:
    table = read_json(index).get("weight_map")
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
