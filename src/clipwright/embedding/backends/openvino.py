"""The towers on OpenVINO: the fastest on processors of Intel and AMD, above all where they have units for bfloat16."""

from __future__ import annotations

import functools
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.embedding.backend import BackendName, Precision, Tower
from clipwright.embedding.backends.graph_backend import GraphBackend
from clipwright.embedding.cache import Shelf
from clipwright.embedding.tower_graphs import tower_graph
from clipwright.errors import ClipwrightError
from clipwright.graph.packing import fewer_shapes, pack_texts

_BLOB = "compiled.blob"


@functools.cache
def _core() -> Any:
    return openvino.Core()


def has_bf16() -> bool:
    """Whether this processor has units for bfloat16."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def settings(precision: Precision, threads: int | None) -> dict[str, Any]:
    """What a model is compiled with. Said in full: by itself OpenVINO takes bfloat16 wherever it can."""
    floats = "f32" if precision == "fp32" or not has_bf16() else "bf16"
    said: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": floats}
    return said if threads is None else {**said, "INFERENCE_NUM_THREADS": threads}


class OpenVinoBackend(GraphBackend[Any]):
    name: BackendName = "openvino"
    runtime_version = openvino.__version__.partition("-")[0]

    def __init__(
        self,
        checkpoint: Checkpoint,
        threads: int | None = None,
        precision: Precision = "fp32",
        shelf: Shelf | None = None,
    ) -> None:
        if precision == "bf16" and not has_bf16():
            raise ClipwrightError("this processor has no units for bf16; --precision fp32 or int8")
        super().__init__(checkpoint, threads, precision, shelf)
        self._requests = threading.local()

    def text_features(self, ids: np.ndarray, ends: np.ndarray) -> np.ndarray:
        if not (self._is_packed("text") and len(ids)):
            return super().text_features(ids, ends)
        # It makes code for every new shape, which takes as long as computing, and keeps thousands of them.
        packed = fewer_shapes(pack_texts(ids, ends), self._checkpoint.spec.context_length)
        return self._run("text", packed)[: len(ids)]

    def _infer(self, tower: Tower, inputs: dict[str, np.ndarray]) -> np.ndarray:
        request = getattr(self._requests, tower, None)  # a request of its own for each thread
        if request is None:
            request = self._tower(tower).create_infer_request()
            setattr(self._requests, tower, request)
        return np.array(request.infer(inputs, share_inputs=True)[0])  # else inputs are copied first

    def _make(self, tower: Tower) -> Any:
        with tempfile.TemporaryDirectory(prefix="clipwright-") as folder:
            return self._compile(tower, Path(folder))

    def _read(self, folder: Path) -> Any:
        blob = openvino.Tensor(np.memmap(folder / _BLOB, np.uint8, "c"))  # as bytes it would be copied twice
        return _core().import_model(blob, "CPU", settings(self.precision, self._threads))

    def _compile(self, tower: Tower, folder: Path) -> Any:
        stored: Precision = "fp32" if self.precision == "bf16" else self.precision
        packed = self._is_packed(tower)
        graph = tower_graph(self._checkpoint, tower, stored, fused=False, packed=packed)
        return _core().compile_model(
            _core().read_model(graph.write(folder)), "CPU", settings(self.precision, self._threads)
        )

    def _keep(self, tower: Tower, folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as plain:
            compiled = self._compile(tower, Path(plain))
            with (folder / _BLOB).open("wb") as file:
                file.write(compiled.export_model().getbuffer())


def matrix_product(size: int, precision: Precision, threads: int | None) -> Callable[[], None] | None:
    """A function that multiplies a matrix by a stored one, both size x size; None: not in this precision here."""
    if precision == "bf16" and not has_bf16():
        return None
    from openvino import opset13 as ops

    entering: dict[Precision, Any] = {
        "fp32": openvino.Type.f32,
        "bf16": openvino.Type.bf16,
        "int8": openvino.Type.u8,
    }
    given = ops.parameter([size, size], entering[precision])
    x = ops.convert(given, "f32")
    if precision == "int8":
        low, high = np.float32(0), np.float32(255)
        x = ops.fake_quantize(x, low, high, low, high, 256)
        stored = ops.convert(ops.constant(np.ones((size, size), np.int8)), "f32")
        stored = ops.multiply(stored, ops.constant(np.ones((size, 1), np.float32)))
    else:
        stored = ops.constant(np.ones((size, size), np.float32))
    y = ops.matmul(x, stored, False, True)
    if precision != "fp32" and has_bf16():
        y = ops.convert(y, "bf16")  # as layer hands on to layer
    model = openvino.Model([y], [given], "product")
    request = _core().compile_model(model, "CPU", settings(precision, threads)).create_infer_request()

    def multiply() -> None:
        request.start_async()
        request.wait()

    return multiply
