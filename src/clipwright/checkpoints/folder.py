"""From a file or a folder on the disk to a model: the layout is told by what is in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clipwright.checkpoints.checkpoint import Checkpoint, naming
from clipwright.checkpoints.families.huggingface import (
    CONFIG_FILE,
    PREPROCESSOR_FILE,
    PROCESSOR_FILE,
    check_kind,
    is_huggingface,
    own_names,
    read_huggingface,
)
from clipwright.checkpoints.families.openai import as_openai, is_openai, read_openai, says_all
from clipwright.checkpoints.families.openclip import read_openclip
from clipwright.checkpoints.families.openclip_config import CONFIG_FILE as OPENCLIP_CONFIG_FILE
from clipwright.checkpoints.layouts import find_model, find_models, names_in
from clipwright.checkpoints.model_file import load_model, own_file
from clipwright.checkpoints.ready_graphs import ReadyGraphs, read_pair, read_ready_graphs
from clipwright.checkpoints.sentence_transformers import check_modules
from clipwright.checkpoints.small_files import TOKENIZER_FILES, preprocessor_table, read_json, tokenizer_files
from clipwright.checkpoints.state_dict import bare_names
from clipwright.checkpoints.tensor_files import read_tensors
from clipwright.errors import CheckpointError
from clipwright.model.config import ModelConfig
from clipwright.model.shapes import check_shapes

GRAPHS_ALONE = (
    "holds ready graphs and no weights, which this needs; classify, similarity and embed run such graphs as they are"
)
"""Why a folder is refused, in words that go behind its name."""
_GRAPH_ENDINGS = (".onnx", ".xml")
Tensors = Mapping[str, np.ndarray]
Build = Callable[[Tensors], Checkpoint]
"""Makes a checkpoint of tensors."""


@dataclass(frozen=True)
class _Opened:
    """What was found at a path: tensors, what a checkpoint of them is, and all the files that say so."""

    tensors: Tensors
    build: Build
    files: tuple[Path, ...]


def read_model(path: Path, which: str | None = None) -> Checkpoint | ReadyGraphs:
    """The model in a file or a folder. Where a folder has weights, these count, for graphs that are made here are
    faster; where it has ready graphs only, these. which and errors: as read_checkpoint."""
    if path.is_dir() and own_file(path) is None:
        found = find_model(names_in(path), which)
        if found is not None and found.graphs:
            return read_ready_graphs(path, which)
    return read_checkpoint(path, which)


def read_checkpoint(path: Path, which: str | None = None) -> Checkpoint:
    """The model in a file or a folder of any layout that is known. No network is touched.

    which: of weights in a file of their own, the architecture: its name in OpenCLIP, a JSON file with its config or the
    folder of that; of a folder, what the names of its weights say of them, 'fp16' say.
    Raises CheckpointError saying what was looked for, or which tensors do not fit.
    """
    return _checked(_open(path, which), path if which is None else f"{path}:{which}")


def read_two(first: Path, second: Path, which: str | None = None) -> Checkpoint | ReadyGraphs:
    """What two paths make together: weights in a file, and the model that has what they lack; or an image tower and a
    text tower, as ready graphs."""
    if not first.is_file():
        return read_pair(first, second, which)
    base = _open(second, which)
    tensors = {**base.tensors, **_read_weights(first)}
    return _checked(replace(base, tensors=tensors, files=(*base.files, first)), first)


def _checked(opened: _Opened, name: Path | str) -> Checkpoint:
    checkpoint = opened.build(opened.tensors)
    with naming(name):
        check_shapes(checkpoint.config, {name: array.shape for name, array in checkpoint.weights.items()})
    return replace(checkpoint, files=opened.files)


def _open(path: Path, which: str | None) -> _Opened:
    ours = own_file(path)
    if ours is not None:
        return _open_ours(ours, which)
    return _open_folder(path, which) if path.is_dir() else _open_file(path, which)


def _open_ours(path: Path, which: str | None) -> _Opened:
    if which is not None:
        raise CheckpointError(f"{str(path)!r} is clipwright's own and says all of itself; leave out ':{which}'")

    def build(tensors: Tensors) -> Checkpoint:
        if tensors:
            raise CheckpointError(f"{str(path)!r} is clipwright's own and lacks nothing; it cannot complete another")
        return load_model(path)

    return _Opened({}, build, (path,))


def _open_file(path: Path, which: str | None) -> _Opened:
    if path.suffix in _GRAPH_ENDINGS:
        raise CheckpointError(f"{str(path)!r} is a graph; name the folder that holds it and its config")
    tensors = _read_weights(path)
    says_itself = which is None and is_openai(tensors) and says_all(tensors)
    config = None if says_itself else _config_at(path.parent if which is None else Path(which))
    if config is not None:  # it says what the tensors leave open, the activation first
        described = _described(config)
        return replace(described, tensors=tensors, files=(path, *described.files))
    towers = None if which is None else _architecture(which)
    if not is_openai(tensors) and (towers is None or not is_huggingface(tensors)):
        from clipwright.checkpoints.refusals import unknown_tensors

        raise CheckpointError(f"{str(path)!r} {unknown_tensors(tensors)}")

    def build(tensors: Tensors) -> Checkpoint:
        with naming(path):
            if towers is not None and is_huggingface(tensors):
                return as_openai(towers, own_names(tensors))
            return read_openai(tensors, towers)

    return _Opened(tensors, build, (path,))


def _open_folder(folder: Path, which: str | None) -> _Opened:
    names = names_in(folder)
    found = next((found for found in find_models(names, which) if found.weights), None)
    if found is None:
        from clipwright.checkpoints.refusals import no_model

        graphs = find_model(names, which) is not None
        raise CheckpointError(f"{str(folder)!r} {GRAPHS_ALONE if graphs else no_model(folder, names, which)}")
    check_modules(folder)
    described = _described(folder / found.layout.config)
    first = folder / found.weights[0]
    parts = _parts(first) if first.suffix == ".json" else (first,)
    tensors = {name: array for part in parts for name, array in read_tensors(part).items()}
    return replace(
        described, tensors=bare_names(tensors), files=tuple(dict.fromkeys((*described.files, first, *parts)))
    )


def _architecture(name: str) -> ModelConfig:
    from clipwright.checkpoints.architectures import architecture  # a starter needs none, and is to start at once

    return architecture(name)


def _read_weights(path: Path) -> Tensors:
    return bare_names(read_tensors(path))


def _config_at(path: Path) -> Path | None:
    """A config by its own path, or the one in a folder; None where there is none."""
    if path.is_file():
        return path
    inside = (path / name for name in (OPENCLIP_CONFIG_FILE, CONFIG_FILE))
    return next((config for config in inside if config.is_file()), None)


def _described(path: Path) -> _Opened:
    """What a config and the small files beside it say, of tensors that are yet to come."""
    config, folder = read_json(path), path.parent
    named = folder if path.name in (OPENCLIP_CONFIG_FILE, CONFIG_FILE) else path
    openclips = "model_cfg" in config or "embed_dim" in config  # OpenCLIP's own collection has the inner table alone
    if not openclips:
        with naming(named):
            check_kind(config)

    def build(tensors: Tensors) -> Checkpoint:
        texts = tokenizer_files(folder)
        with naming(named):
            if openclips:
                return read_openclip(config if "model_cfg" in config else {"model_cfg": config}, tensors, *texts)
            return read_huggingface(config, preprocessor_table(folder), tensors, *texts)

    beside = (folder / name for name in (PREPROCESSOR_FILE, PROCESSOR_FILE, *TOKENIZER_FILES))
    return _Opened({}, build, (path, *filter(Path.is_file, beside)))


def _parts(index: Path) -> tuple[Path, ...]:
    """The files that a table of several names."""
    table, folder = read_json(index).get("weight_map"), index.parent
    if not isinstance(table, dict) or not all(isinstance(name, str) for name in table.values()):
        raise CheckpointError(f"{str(index)!r} lacks its weight_map")
    for name in sorted(set(table.values())):
        if Path(name).name != name:
            raise CheckpointError(f"{str(index)!r} names {name!r}, which lies outside the folder")
        if not (folder / name).is_file():
            raise CheckpointError(f"{str(folder)!r} lacks {name}, which {index.name} names; was it downloaded whole?")
    return tuple(folder / name for name in sorted(set(table.values())))
