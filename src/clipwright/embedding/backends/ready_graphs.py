"""Towers that are graphs already, run as they are: ONNX graphs on ONNX Runtime, OpenVINO's on OpenVINO.

What a graph takes and gives is looked at when it is opened: inputs are told by name, type and rank, and a graph that
wants something else is refused.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clipwright.checkpoints.ready_graphs import ReadyGraphs
from clipwright.embedding.backend import BackendName, Tower
from clipwright.embedding.backends.graph_files import GraphFile, OnnxFile, OpenVinoFile, Port
from clipwright.errors import CheckpointError, MissingExtraError

_FLOATS: dict[str, Any] = {"float": np.float32, "float16": np.float16}
_INTEGERS: dict[str, Any] = {"int32": np.int32, "int64": np.int64}
_NUMBERS = _FLOATS | _INTEGERS
_IDS = ("input_ids", "text")
_MASK, _POSITIONS, _ENDS = "attention_mask", "position_ids", "ends"
_OUTPUTS: dict[Tower, tuple[str, ...]] = {
    "image": ("image_embeds", "image_embedding", "image_features", "embedding"),
    "text": ("text_embeds", "text_embedding", "text_features", "embedding"),
}
"""What the output with the features is called."""
_POOLED = "pooler_output"
"""The features of SigLIP; of CLIP what its projection is yet to be applied to."""
_KNOWN = frozenset((*_IDS, _MASK, _POSITIONS, _POOLED, *_OUTPUTS["image"], *_OUTPUTS["text"]))


@dataclass(frozen=True)
class _Tower:
    """A tower in a graph that is open."""

    path: Path
    graph: GraphFile
    inputs: Sequence[Port]
    """Its own: a graph of both towers has others."""
    output: str
    placeholders: Mapping[str, np.ndarray]
    """What the other tower is given where the graph has both: one picture or one text that means nothing."""

    @property
    def one_by_one(self) -> bool:
        """Whether it takes a single picture or text at a time."""
        return any(port.shape and port.shape[0] == 1 for port in self.inputs)


class ReadyGraphsBackend:
    """Runs both graphs. One is opened when it is first asked for: searching needs no image tower."""

    def __init__(self, graphs: ReadyGraphs, threads: int | None = None) -> None:
        """threads bounds the processor cores of each run; None takes all."""
        self.name: BackendName = graphs.runtime
        self.precision = graphs.precision
        self._graphs = graphs
        self._threads = threads
        self._opening = threading.Lock()
        self._files: dict[Path, GraphFile] = {}
        self._towers: dict[Tower, _Tower] = {}

    def image_features(self, pixels: np.ndarray) -> np.ndarray:
        tower = self._tower("image")
        return self._run(tower, _pixels(tower.inputs, pixels))

    def text_features(self, ids: np.ndarray, ends: np.ndarray) -> np.ndarray:
        tower = self._tower("text")
        return self._run(tower, self._texts(tower.inputs, ids, ends))

    def _texts(self, ports: Sequence[Port], ids: np.ndarray, ends: np.ndarray) -> dict[str, np.ndarray]:
        """What the inputs of a text tower are given."""
        spec = self._graphs.spec
        fixed = max((port.shape[1] or 0 for port in ports if len(port.shape) == 2), default=0)
        padded = np.pad(ids, [(0, 0), (0, max(0, fixed - ids.shape[1]))], constant_values=spec.pad_id)
        places = np.broadcast_to(np.arange(padded.shape[1]), padded.shape)
        # A tower that was trained to see its padding is to see it here too: SigLIP.
        seen = places <= ends[:, None] if spec.padding == "longest" else np.ones(padded.shape, bool)
        given = {_MASK: seen, _POSITIONS: places, _ENDS: ends}
        return {port.name: given.get(port.name, padded).astype(_NUMBERS[port.kind]) for port in ports}

    def _run(self, tower: _Tower, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        count, width = len(next(iter(inputs.values()))), self._graphs.embed_dim
        step = 1 if tower.one_by_one else max(1, count)
        parts = [np.zeros((0, width), np.float32)]
        for start in range(0, count, step):
            arrays = {name: np.ascontiguousarray(array[start : start + step]) for name, array in inputs.items()}
            expected = (min(step, count - start), width)
            try:
                features = tower.graph.run(tower.output, {**arrays, **tower.placeholders})
            except Exception as error:  # the runtimes have several kinds of their own
                raise CheckpointError(f"{str(tower.path)!r} cannot be run: {_one_line(error)}") from error
            if features.shape != expected:
                raise CheckpointError(f"{str(tower.path)!r} gives features of shape {features.shape}, not {expected}")
            parts.append(features.astype(np.float32))
        return np.concatenate(parts)

    def _tower(self, tower: Tower) -> _Tower:
        with self._opening:
            if tower not in self._towers:
                path = self._graphs.image if tower == "image" else self._graphs.text
                if path not in self._files:
                    self._files[path] = _open(path, self.name, self._threads)
                self._towers[tower] = self._checked(tower, path, self._files[path])
            return self._towers[tower]

    def _checked(self, tower: Tower, path: Path, graph: GraphFile) -> _Tower:
        spec = self._graphs.spec
        side, length, width = spec.image_size, spec.context_length, self._graphs.embed_dim
        ports: dict[Tower, list[Port]] = {tower: list(graph.inputs)}
        if self._graphs.image == self._graphs.text:
            pictures = [port for port in graph.inputs if len(port.shape) == 4]
            ports = {"image": pictures, "text": [port for port in graph.inputs if port not in pictures]}
        wanted: dict[Tower, str] = {
            "image": f"one input of floats (B, 3, {side}, {side})",
            "text": f"{' or '.join(_IDS)} of integers (B, {length}), beside it at most {_MASK} and {_POSITIONS}",
        }
        fits: dict[Tower, bool] = {
            "image": _reads_images(ports.get("image", ()), side),
            "text": _reads_texts(ports.get("text", ()), length),
        }
        batches = {port.shape[0] for port in graph.inputs if port.shape}
        if not all(fits[each] for each in ports) or not batches <= {1, None}:
            expected = " and ".join(wanted[each] for each in ports)
            raise CheckpointError(f"{str(path)!r} wants {_described(graph.inputs)}; expected is {expected}")
        output = self._output(tower, graph.outputs)
        if output is None:
            expected = f"{_OUTPUTS[tower][0]} of floats (B, {width})"
            raise CheckpointError(f"{str(path)!r} gives {_described(graph.outputs)}; expected is {expected}")
        placeholders = {} if len(ports) == 1 else self._nothing(tower, ports)
        return _Tower(path, graph, ports[tower], output, placeholders)

    def _nothing(self, tower: Tower, ports: Mapping[Tower, Sequence[Port]]) -> dict[str, np.ndarray]:
        """One picture or text for the other tower than this one."""
        spec = self._graphs.spec
        if tower == "text":
            return _pixels(ports["image"], np.zeros((1, 3, spec.image_size, spec.image_size), np.float32))
        ids = np.full((1, spec.context_length if spec.padding == "context" else 1), spec.end_id)
        return self._texts(ports["text"], ids, np.zeros(1, np.int64))

    def _output(self, tower: Tower, outputs: Sequence[Port]) -> str | None:
        """The name of the output with the features, None where there is none."""
        apart = self._graphs.image != self._graphs.text
        names = _OUTPUTS[tower] + ((_POOLED,) if apart and self._graphs.scores == "sigmoid" else ())
        chosen = next((port for name in names for port in outputs if port.name == name), None)
        if chosen is None and len(outputs) == 1 and outputs[0].name != _POOLED:
            chosen = outputs[0]
        if chosen is None or not _is(chosen, _FLOATS, (None, self._graphs.embed_dim)):
            return None
        return chosen.name


def _open(path: Path, runtime: BackendName, threads: int | None) -> GraphFile:
    if runtime == "openvino" and importlib.util.find_spec("openvino") is None:
        raise MissingExtraError(f"{str(path)!r}, which is OpenVINO's,", "openvino")
    try:
        return OpenVinoFile(path, threads, _KNOWN) if runtime == "openvino" else OnnxFile(path, threads)
    except Exception as error:  # the runtimes have several kinds of their own
        raise CheckpointError(f"{str(path)!r} cannot be opened: {_one_line(error)}") from error


def _pixels(ports: Sequence[Port], pixels: np.ndarray) -> dict[str, np.ndarray]:
    """What the input of an image tower is given."""
    (port,) = ports
    return {port.name: pixels.astype(_NUMBERS[port.kind], copy=False)}


def _reads_images(ports: Sequence[Port], side: int) -> bool:
    return len(ports) == 1 and _is(ports[0], _FLOATS, (None, 3, side, side))


def _reads_texts(ports: Sequence[Port], length: int) -> bool:
    names = [port.name for port in ports]
    ids = [name for name in names if name not in (_MASK, _POSITIONS, _ENDS)]
    # A single input may be called as it likes, and so may that of our own export.
    named = len(ids) == 1 and (len(names) == 1 or ids[0] in _IDS or _ENDS in names)
    return named and all(_is(port, _INTEGERS, (None,) if port.name == _ENDS else (None, length)) for port in ports)


def _is(port: Port, kinds: Container[str], shape: Sequence[int | None]) -> bool:
    """Whether an input or output has numbers of one of these kinds and can have this shape, in which None is any."""
    return (
        port.kind in kinds
        and len(port.shape) == len(shape)
        and all(side is None or want in (None, side) for side, want in zip(port.shape, shape, strict=True))
    )


def _described(ports: Sequence[Port]) -> str:
    """Inputs or outputs in words: 'pixel_values (?, 3, 224, 224) uint8'."""
    shapes = [", ".join("?" if side is None else str(side) for side in port.shape) for port in ports]
    return " and ".join(f"{port.name} ({shape}) {port.kind}" for port, shape in zip(ports, shapes, strict=True))


def _one_line(error: Exception) -> str:
    """What the runtime says, without the path that it repeats."""
    return " ".join(str(error).rpartition(" failed:")[2].split())[:200]
