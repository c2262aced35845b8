"""Ready ONNX graphs of both towers on ONNX Runtime, as they are.

What a graph takes and gives is looked at when it is opened: inputs are told by name, type and rank, and a graph that
wants something else is refused.
"""

from __future__ import annotations

import threading
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clipwright.checkpoints.onnx_repository import OnnxRepository
from clipwright.embedding.backend import BackendName, Precision, Tower
from clipwright.embedding.backends.onnx import open_file
from clipwright.errors import CheckpointError

_FLOATS: dict[str, Any] = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_INTEGERS: dict[str, Any] = {"tensor(int32)": np.int32, "tensor(int64)": np.int64}
_IDS = ("input_ids", "text")
_MASK, _POSITIONS = "attention_mask", "position_ids"
_OUTPUTS: dict[Tower, tuple[str, ...]] = {
    "image": ("image_embeds", "image_embedding", "embedding"),
    "text": ("text_embeds", "text_embedding", "embedding"),
}
"""What the output with the features is called."""
_POOLED = "pooler_output"
"""The features of SigLIP; of CLIP what its projection is yet to be applied to."""


@dataclass(frozen=True)
class _Opened:
    """A graph and what was found of its inputs."""

    path: Path
    session: Any
    inputs: dict[str, Any]
    """The type of each, by name."""
    output: str
    one_by_one: bool
    """Whether it takes a single picture or text at a time."""


class OnnxFilesBackend:
    """Runs both graphs. One is opened when it is first asked for: searching needs no image tower."""

    name: BackendName = "onnx"
    precision: Precision = "fp32"

    def __init__(self, repository: OnnxRepository, threads: int | None = None) -> None:
        """threads bounds the processor cores of each run; None takes all."""
        self._repository = repository
        self._threads = threads
        self._opening = threading.Lock()
        self._graphs: dict[Tower, _Opened] = {}

    def image_features(self, pixels: np.ndarray) -> np.ndarray:
        graph = self._graph("image")
        ((name, dtype),) = graph.inputs.items()
        return self._run(graph, {name: pixels.astype(dtype, copy=False)})

    def text_features(self, ids: np.ndarray, ends: np.ndarray) -> np.ndarray:
        graph, spec = self._graph("text"), self._repository.spec
        missing = self._fixed_length(graph) - ids.shape[1]
        padded = np.pad(ids, [(0, 0), (0, max(0, missing))], constant_values=spec.pad_id)
        places = np.broadcast_to(np.arange(padded.shape[1]), padded.shape)
        # A tower that was trained to see its padding is to see it here too: SigLIP.
        seen = places <= ends[:, None] if spec.padding == "longest" else np.ones(padded.shape, bool)
        given = {_MASK: seen, _POSITIONS: places}
        return self._run(graph, {name: given.get(name, padded).astype(dtype) for name, dtype in graph.inputs.items()})

    def _run(self, graph: _Opened, inputs: dict[str, np.ndarray]) -> np.ndarray:
        count, width = len(next(iter(inputs.values()))), self._repository.embed_dim
        step = 1 if graph.one_by_one else max(1, count)
        parts = [np.zeros((0, width), np.float32)]
        for start in range(0, count, step):
            arrays = {name: np.ascontiguousarray(array[start : start + step]) for name, array in inputs.items()}
            try:
                (features,) = graph.session.run([graph.output], arrays)
            except Exception as error:  # the runtime has several kinds of its own
                raise CheckpointError(f"{str(graph.path)!r} cannot be run: {_one_line(error)}") from error
            expected = (len(next(iter(arrays.values()))), width)
            if features.shape != expected:
                raise CheckpointError(f"{str(graph.path)!r} gives features of shape {features.shape}, not {expected}")
            parts.append(features.astype(np.float32))
        return np.concatenate(parts)

    def _graph(self, tower: Tower) -> _Opened:
        with self._opening:
            if tower not in self._graphs:
                path = self._repository.image if tower == "image" else self._repository.text
                try:
                    session = open_file(path, self._threads)
                except Exception as error:  # the runtime has several kinds of its own
                    raise CheckpointError(f"{str(path)!r} cannot be opened: {_one_line(error)}") from error
                self._graphs[tower] = self._checked(tower, path, session)
            return self._graphs[tower]

    def _checked(self, tower: Tower, path: Path, session: Any) -> _Opened:
        inputs, outputs, spec = session.get_inputs(), session.get_outputs(), self._repository.spec
        side, length, width = spec.image_size, spec.context_length, self._repository.embed_dim
        if tower == "image":
            fits, expected = _reads_images(inputs, side), f"one input of floats (B, 3, {side}, {side})"
        else:
            fits = _reads_texts(inputs, length)
            expected = f"{' or '.join(_IDS)} of integers (B, {length}), beside it at most {_MASK} and {_POSITIONS}"
        batches = {given.shape[0] for given in inputs if given.shape and isinstance(given.shape[0], int)}
        if not fits or not batches <= {1}:
            raise CheckpointError(f"{str(path)!r} wants {_described(inputs)}; expected is {expected}")
        output = self._output(tower, outputs)
        if output is None:
            expected = f"{_OUTPUTS[tower][0]} of floats (B, {width})"
            raise CheckpointError(f"{str(path)!r} gives {_described(outputs)}; expected is {expected}")
        types = {given.name: (_FLOATS | _INTEGERS)[given.type] for given in inputs}
        return _Opened(path, session, types, output, batches == {1})

    def _output(self, tower: Tower, outputs: Sequence[Any]) -> str | None:
        """The name of the output with the features, None where there is none."""
        names = _OUTPUTS[tower] + ((_POOLED,) if self._repository.scores == "sigmoid" else ())
        chosen = next((given for name in names for given in outputs if given.name == name), None)
        if chosen is None and len(outputs) == 1 and outputs[0].name != _POOLED:
            chosen = outputs[0]
        if chosen is None or not _is(chosen, _FLOATS, (None, self._repository.embed_dim)):
            return None
        return str(chosen.name)

    def _fixed_length(self, graph: _Opened) -> int:
        """What every text must be padded to; 0 where that is open."""
        lengths = (given.shape[1] for given in graph.session.get_inputs())
        return max((length for length in lengths if isinstance(length, int)), default=0)


def _reads_images(inputs: Sequence[Any], side: int) -> bool:
    return len(inputs) == 1 and _is(inputs[0], _FLOATS, (None, 3, side, side))


def _reads_texts(inputs: Sequence[Any], length: int) -> bool:
    ids = [given.name for given in inputs if given.name not in (_MASK, _POSITIONS)]
    named = len(ids) == 1 and (len(inputs) == 1 or ids[0] in _IDS)  # a single input may be called as it likes
    return named and all(_is(given, _INTEGERS, (None, length)) for given in inputs)


def _is(given: Any, types: Container[str], shape: Sequence[int | None]) -> bool:
    """Whether an input or output has one of these types and can have this shape, in which None is any number."""
    return (
        given.type in types
        and len(given.shape) == len(shape)
        # What is open in a graph has a name there, or None.
        and all(
            not isinstance(side, int) or want in (None, side) for side, want in zip(given.shape, shape, strict=True)
        )
    )


def _described(values: Sequence[Any]) -> str:
    """Inputs or outputs in words: 'pixel_values (?, 3, 224, 224) uint8'."""
    words = []
    for given in values:
        sides = ", ".join(str(side) if isinstance(side, int) else "?" for side in given.shape)
        words.append(f"{given.name} ({sides}) {given.type.removeprefix('tensor(').removesuffix(')')}")
    return " and ".join(words)


def _one_line(error: Exception) -> str:
    """What the runtime says, without the path that it repeats."""
    return " ".join(str(error).rpartition(" failed:")[2].split())[:200]
