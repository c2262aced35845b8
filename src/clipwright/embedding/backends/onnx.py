"""The towers on ONNX Runtime, from graphs that are made from the weights. No torch."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.embedding.backend import BackendName, Precision, Tower
from clipwright.embedding.cache import Shelf, processor_key
from clipwright.embedding.tower_graphs import tower_graph
from clipwright.errors import ClipwrightError
from clipwright.graph.builder import GRAPH_FILE, Graph
from clipwright.graph.packing import pack_texts
from clipwright.graph.towers import IMAGE_INPUT, OUTPUT, TEXT_INPUTS

_WORTH_KEEPING = 64 * 2**20
"""Bytes of weights from which a graph is kept ready on disk."""
_PACKED_WEIGHTS = "packed.bin"


class OnnxBackend:
    """Runs both towers. A tower is opened when it is first asked for: searching needs no image tower."""

    name: BackendName = "onnx"

    def __init__(
        self,
        checkpoint: Checkpoint,
        threads: int | None = None,
        precision: Precision = "fp32",
        shelf: Shelf | None = None,
    ) -> None:
        """threads bounds the processor cores of each run; None takes all. shelf keeps what takes time to make."""
        if precision == "bf16":
            raise ClipwrightError(
                "ONNX Runtime computes nothing in bf16 on a processor; OpenVINO does: pip install"
                " 'clipwright[openvino]' and --backend openvino"
            )
        self.precision: Precision = precision
        self._checkpoint = checkpoint
        self._threads = threads
        self._shelf = shelf
        self._opening = threading.Lock()
        self._sessions: dict[Tower, onnxruntime.InferenceSession] = {}
        self._packed = checkpoint.config.text.causal

    def image_features(self, pixels: np.ndarray) -> np.ndarray:
        return self._run("image", {IMAGE_INPUT: pixels})

    def text_features(self, ids: np.ndarray, ends: np.ndarray) -> np.ndarray:
        if self._packed and len(ids):
            return self._run("text", pack_texts(ids, ends))
        return self._run("text", dict(zip(TEXT_INPUTS, (ids, ends), strict=True)))

    def _run(self, tower: Tower, inputs: dict[str, np.ndarray]) -> np.ndarray:
        if not len(next(iter(inputs.values()))):
            return np.zeros((0, self._checkpoint.config.embed_dim), np.float32)
        with self._opening:
            if tower not in self._sessions:
                self._sessions[tower] = self._open(tower)
        arrays = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
        (features,) = self._sessions[tower].run([OUTPUT], arrays)
        return np.asarray(features, np.float32)

    def _graph(self, tower: Tower) -> Graph:
        packed = tower == "text" and self._packed
        return tower_graph(self._checkpoint, tower, self.precision, fused=True, packed=packed)

    def _open(self, tower: Tower) -> onnxruntime.InferenceSession:
        if self._shelf is not None and self._worth_keeping(tower):
            key = f"{tower}-onnx-{self.precision}-{onnxruntime.__version__}-{processor_key()}"
            session = self._shelf.opened(key, lambda folder: self._make(tower, folder), self._read)
            if session is not None:
                return session
        return open_in_memory(self._graph(tower), self._threads)

    def _read(self, folder: Path) -> onnxruntime.InferenceSession:
        return _session(str(folder / GRAPH_FILE), _options(self._threads, optimise=False))

    def _worth_keeping(self, tower: Tower) -> bool:
        prefix = "vision." if tower == "image" else "text."
        count = sum(array.size for name, array in self._checkpoint.weights.items() if name.startswith(prefix))
        return self.precision == "int8" or 4 * count >= _WORTH_KEEPING

    def _make(self, tower: Tower, folder: Path) -> None:
        """The graph as ONNX Runtime has rewritten it for this processor, its weights in the order that it reads."""
        plain = folder / "plain"
        plain.mkdir()
        path = self._graph(tower).write(plain)
        options = _options(self._threads, optimise=True)
        options.optimized_model_filepath = str(folder / GRAPH_FILE)
        for entry, value in (
            ("session.save_external_prepacked_constant_initializers", "1"),
            ("session.optimized_model_external_initializers_file_name", _PACKED_WEIGHTS),
            ("session.optimized_model_external_initializers_min_size_in_bytes", "1024"),
        ):
            options.add_session_config_entry(entry, value)
        _session(str(path), options)
        for file in plain.iterdir():
            file.unlink()
        plain.rmdir()


def open_in_memory(graph: Graph, threads: int | None) -> onnxruntime.InferenceSession:
    """A session of a graph whose weights are handed over as they are."""
    options = _options(threads, optimise=True)
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(weight.read()) for weight in graph.weights.values()]
    options.add_external_initializers(list(graph.weights), values)
    return _session(graph.model("weights").SerializeToString(), options)


def open_file(path: Path, threads: int | None) -> onnxruntime.InferenceSession:
    """A session of a graph in a file, with its weights beside it."""
    return _session(str(path), _options(threads, optimise=True))


def _options(threads: int | None, *, optimise: bool) -> Any:
    options: Any = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def _session(model: str | bytes, options: Any) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
