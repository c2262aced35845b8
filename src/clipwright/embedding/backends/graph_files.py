"""A graph in a file as a runtime opens it, with what it takes and gives said in one way."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

_OPENVINO_KINDS = {"f32": "float", "f16": "float16", "i32": "int32", "i64": "int64", "u8": "uint8"}


@dataclass(frozen=True)
class Port:
    """An input or an output of a graph."""

    name: str
    kind: str
    """Of its numbers, as ONNX Runtime calls it: 'float', 'int64'."""
    shape: tuple[int | None, ...]
    """None where a side is open."""


class GraphFile(Protocol):
    """A graph that is open. Safe to use from several threads."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def run(self, output: str, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """What the graph gives under this name for these inputs."""


class OnnxFile:
    def __init__(self, path: Path, threads: int | None) -> None:
        from clipwright.embedding.backends.onnx import open_file

        self._session = open_file(path, threads)
        self.inputs = tuple(map(_onnx_port, self._session.get_inputs()))
        self.outputs = tuple(map(_onnx_port, self._session.get_outputs()))

    def run(self, output: str, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.asarray(self._session.run([output], dict(arrays))[0])


class OpenVinoFile:
    def __init__(self, path: Path, threads: int | None, known: Collection[str]) -> None:
        """known: by which of its names to call what has several: as layers are made one, their names are kept."""
        import openvino

        from clipwright.embedding.backends.openvino import settings

        self._compiled = openvino.Core().compile_model(path, "CPU", settings("fp32", threads))
        self.inputs = tuple(_openvino_port(given, known) for given in self._compiled.inputs)
        self.outputs = tuple(_openvino_port(given, known) for given in self._compiled.outputs)
        self._own = threading.local()

    def run(self, output: str, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        if not hasattr(self._own, "request"):  # one for each thread
            self._own.request = self._compiled.create_infer_request()
        self._own.request.infer(dict(arrays))
        return np.array(self._own.request.get_tensor(output).data)


def _onnx_port(given: Any) -> Port:
    shape = tuple(side if isinstance(side, int) else None for side in given.shape)  # what is open has a name, or None
    return Port(given.name, given.type.removeprefix("tensor(").removesuffix(")"), shape)


def _openvino_port(given: Any, known: Collection[str]) -> Port:
    name = min(given.get_names(), key=lambda name: (name not in known, name), default="")
    kind = given.get_element_type().get_type_name()
    shape = tuple(side.get_length() if side.is_static else None for side in given.get_partial_shape())
    return Port(name, _OPENVINO_KINDS.get(kind, kind), shape)
