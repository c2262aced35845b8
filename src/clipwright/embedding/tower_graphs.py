"""The graph of a tower in a precision, for a runtime."""

from __future__ import annotations

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.embedding.backend import Precision, Tower
from clipwright.embedding.calibration import calibrate
from clipwright.graph.arithmetic import Float, Integers
from clipwright.graph.builder import Graph
from clipwright.graph.towers import image_graph, text_graph


def tower_graph(checkpoint: Checkpoint, tower: Tower, precision: Precision, *, fused: bool, packed: bool) -> Graph:
    """fused: whether int8 may use a node of ONNX Runtime's own. packed: see text_graph; of a causal text tower only.

    bf16 stores matrices so; what they are multiplied in is the runtime's choice. int8 calibrates first.
    """
    arithmetic = Integers(calibrate(checkpoint, tower), fused) if precision == "int8" else Float()
    halves = precision == "bf16"
    if tower == "image":
        return image_graph(checkpoint.config, checkpoint.weights, arithmetic, halves=halves)
    return text_graph(checkpoint.config, checkpoint.weights, arithmetic, halves=halves, packed=packed)
