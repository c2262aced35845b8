"""The towers on ONNX Runtime, in float32, from graphs that are made from the weights. No torch."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import onnxruntime

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.graph.builder import Graph
from clipwright.graph.towers import IMAGE_INPUT, OUTPUT, TEXT_INPUTS, image_graph, text_graph


class OnnxBackend:
    """Runs both towers. A tower is built when it is first asked for: searching needs no image tower."""

    def __init__(self, checkpoint: Checkpoint, threads: int | None = None) -> None:
        """threads bounds the processor cores of each run; None takes all."""
        self._checkpoint = checkpoint
        self._threads = threads
        self._opening = threading.Lock()
        self._image: onnxruntime.InferenceSession | None = None
        self._text: onnxruntime.InferenceSession | None = None

    def image_features(self, pixels: np.ndarray) -> np.ndarray:
        with self._opening:
            if self._image is None:
                self._image = self._open(image_graph(self._checkpoint.config, self._checkpoint.weights))
        return self._run(self._image, {IMAGE_INPUT: pixels})

    def text_features(self, ids: np.ndarray, ends: np.ndarray) -> np.ndarray:
        with self._opening:
            if self._text is None:
                self._text = self._open(text_graph(self._checkpoint.config, self._checkpoint.weights))
        return self._run(self._text, dict(zip(TEXT_INPUTS, (ids, ends), strict=True)))

    @staticmethod
    def _run(session: onnxruntime.InferenceSession, inputs: dict[str, np.ndarray]) -> np.ndarray:
        (features,) = session.run([OUTPUT], {name: np.ascontiguousarray(array) for name, array in inputs.items()})
        return np.asarray(features, np.float32)

    def _open(self, graph: Graph) -> onnxruntime.InferenceSession:
        options: Any = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in graph.weights.values()]
        options.add_external_initializers(list(graph.weights), values)
        model = graph.model("weights").SerializeToString()
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
