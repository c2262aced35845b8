"""The towers on ONNX Runtime, from graphs that are made from the weights. No torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.embedding.backend import BackendName, Precision, Tower
from clipwright.embedding.backends.graph_backend import GraphBackend
from clipwright.embedding.backends.packed_weights import align_weights
from clipwright.embedding.cache import Shelf
from clipwright.errors import ClipwrightError
from clipwright.graph.builder import GRAPH_FILE, Graph
from clipwright.graph.towers import OUTPUT

_READ_AGAIN = 64 * 2**20
"""Bytes of weights from which a model just made is let go and read as it was kept: what is mapped takes less memory."""
_PACKED_WEIGHTS = "packed.bin"


class OnnxBackend(GraphBackend[onnxruntime.InferenceSession]):
    name: BackendName = "onnx"
    runtime_version = onnxruntime.__version__

    def __init__(
        self,
        checkpoint: Checkpoint,
        threads: int | None = None,
        precision: Precision = "fp32",
        shelf: Shelf | None = None,
    ) -> None:
        if precision == "bf16":
            raise ClipwrightError(
                "ONNX Runtime computes nothing in bf16 on a processor; OpenVINO does: pip install"
                " 'clipwright[openvino]' and --backend openvino"
            )
        super().__init__(checkpoint, threads, precision, shelf)

    def _infer(self, tower: Tower, inputs: dict[str, np.ndarray]) -> np.ndarray:
        return np.asarray(self._tower(tower).run([OUTPUT], inputs)[0])

    def _graph(self, tower: Tower) -> Graph:
        from clipwright.embedding.tower_graphs import tower_graph  # not needed where graphs are kept ready

        packed = self._is_packed(tower)
        return tower_graph(self._checkpoint, tower, self.precision, fused=True, packed=packed)

    def _make(self, tower: Tower) -> onnxruntime.InferenceSession:
        return open_in_memory(self._graph(tower), self._threads)

    def _keep(self, tower: Tower, folder: Path) -> onnxruntime.InferenceSession | None:
        """Writes the graph as ONNX Runtime has rewritten it for this processor, its weights in the order that it reads.

        Gives the session that did, or None where it is better read again.
        """
        graph = self._graph(tower)
        session = open_in_memory(graph, self._threads, keep_in=folder)
        align_weights(folder / GRAPH_FILE, folder / _PACKED_WEIGHTS)
        return session if sum(weight.nbytes for weight in graph.weights.values()) < _READ_AGAIN else None

    def _read(self, folder: Path) -> onnxruntime.InferenceSession:
        return _session(str(folder / GRAPH_FILE), _options(self._threads, optimise=False))


def open_in_memory(graph: Graph, threads: int | None, keep_in: Path | None = None) -> onnxruntime.InferenceSession:
    """A session of a graph whose weights are handed over as they are. keep_in: a folder for what is made of it."""
    options = _options(threads, optimise=True)
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(weight.read()) for weight in graph.weights.values()]
    options.add_external_initializers(list(graph.weights), values)
    if keep_in is not None:
        options.optimized_model_filepath = str(keep_in / GRAPH_FILE)
        for entry, value in (
            ("session.save_external_prepacked_constant_initializers", "1"),
            ("session.optimized_model_external_initializers_file_name", _PACKED_WEIGHTS),
            ("session.optimized_model_external_initializers_min_size_in_bytes", "1024"),
        ):
            options.add_session_config_entry(entry, value)
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


def matrix_product(size: int, precision: Precision, threads: int | None) -> Callable[[], None] | None:
    """A function that multiplies a matrix by a stored one, both size x size; None: not in this precision here."""
    if precision == "bf16":
        return None
    graph, dtype = Graph("product"), np.float32 if precision == "fp32" else np.uint8
    a = graph.input("a", dtype, [size, size])
    if precision == "fp32":
        y = graph.node("MatMul", [a, graph.weight("b", np.ones((size, size), np.float32))])
    else:
        b = graph.weight("b", np.ones((size, size), np.int8), np.int8)
        scales = graph.constant(1, np.float32), graph.weight("scales", np.ones(size, np.float32))
        zeros = graph.constant(0, np.uint8), graph.constant(0, np.int8)
        y = graph.node("MatMulIntegerToFloat", [a, b, *scales, *zeros], domain="com.microsoft")
    graph.output(y, OUTPUT, [size, size])
    session = open_in_memory(graph, threads)
    binding = session.io_binding()
    binding.bind_cpu_input("a", np.ones((size, size), dtype))
    binding.bind_ortvalue_output(OUTPUT, onnxruntime.OrtValue.ortvalue_from_shape_and_type([size, size], np.float32))
    return lambda: session.run_with_iobinding(binding)
