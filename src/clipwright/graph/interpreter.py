"""Runs the graph of a text tower with NumPy, straight from the arrays: nothing is started, rewritten or kept first.

A runtime takes a few tenths of a second before it answers. For a few words all of the work is less: each matrix is read
once, where it is mapped, and of the token embeddings only the rows of these words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from clipwright.graph.builder import Graph, Weight

Operation = Callable[..., Any]
"""The inputs of a node as arrays and its attributes as keywords, to its output, or to a list of several."""

_BLOCK = 2**18
"""Multiplications up to which OpenBLAS neither copies a matrix first nor wakes threads, which busy cores would hold up:
of a few words, blocks of this size are done in half the time of a whole matrix."""
_FEWEST_ROWS = 16
"""Below, blocks cost more than they save."""


def run_graph(graph: Graph, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """The first output of a graph of the operators that text towers have, in float32.

    Raises KeyError at another operator.
    """
    values: dict[str, Any] = {**graph.constants, **inputs}
    for node in graph.nodes:
        if node.op == "Gather" and node.inputs[0] in graph.weights:
            values[node.outputs[0]] = _rows(graph.weights[node.inputs[0]], values[node.inputs[1]])
            continue
        outputs = _OPERATIONS[node.op](*(_value(graph, values, name) for name in node.inputs), **node.attributes)
        values.update(zip(node.outputs, outputs if len(node.outputs) > 1 else [outputs], strict=True))
    return np.asarray(values[graph.outputs[0].name], np.float32)


def _value(graph: Graph, values: Mapping[str, Any], name: str) -> np.ndarray:
    """Weights are read where they are used and not held on to: a layer's matrix is used once."""
    return graph.weights[name].read() if name in graph.weights else np.asarray(values[name])


def _rows(weight: Weight, places: np.ndarray) -> np.ndarray:
    """Rows of a weight, without reading the others."""
    rows: np.ndarray = np.asarray(weight.source())[places]
    return rows.astype(weight.dtype)


def _gather(x: np.ndarray, places: np.ndarray, axis: int) -> np.ndarray:
    return np.asarray(x.take(places, axis))


def _gemm(x: np.ndarray, matrix: np.ndarray, bias: np.ndarray | None = None, *, transB: int) -> np.ndarray:  # noqa: N803 - the attribute of ONNX
    """x (N, in) by the transpose of matrix (out, in), a block of outputs after the other while N is small."""
    assert transB
    rows = _BLOCK // x.size
    if rows < _FEWEST_ROWS:
        y = x @ matrix.T
    else:
        y = np.empty((len(x), len(matrix)), np.float32)
        for start in range(0, len(matrix), rows):
            y[:, start : start + rows] = x @ matrix[start : start + rows].T
    return np.asarray(y if bias is None else y + bias)


def _layer_normalization(
    x: np.ndarray, scale: np.ndarray, shift: np.ndarray, *, axis: int, epsilon: float
) -> np.ndarray:
    centred = x - x.mean(axis, keepdims=True)
    spread = np.sqrt(np.square(centred).mean(axis, keepdims=True) + np.float32(epsilon))
    return np.asarray(centred / spread * scale + shift)


def _softmax(x: np.ndarray, *, axis: int) -> np.ndarray:
    raised = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(raised / raised.sum(axis, keepdims=True))


def _gelu(x: np.ndarray, *, approximate: str) -> np.ndarray:
    if approximate == "tanh":
        inner = np.tanh(np.float32(np.sqrt(2 / np.pi)) * (x + np.float32(0.044715) * x * x * x))
    else:
        inner = _erf(x * np.float32(np.sqrt(0.5)))
    return np.asarray(np.float32(0.5) * x * (1 + inner))


def _erf(x: np.ndarray) -> np.ndarray:
    """The error function to 1.5e-7 (Abramowitz & Stegun 1964, 7.1.26)."""
    size = np.abs(x)
    t = 1 / (1 + np.float32(0.3275911) * size)
    sum_of_powers = np.float32(1.061405429)
    for factor in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        sum_of_powers = sum_of_powers * t + np.float32(factor)
    return np.asarray(np.copysign(1 - sum_of_powers * t * np.exp(-size * size), x))


def _slice(x: np.ndarray, starts: np.ndarray, ends: np.ndarray, axes: np.ndarray | None = None) -> np.ndarray:
    chosen = [slice(None)] * x.ndim
    for axis, start, end in zip(range(len(starts)) if axes is None else axes, starts, ends, strict=True):
        chosen[axis] = slice(start, end)
    return x[tuple(chosen)]


def _reshape(x: np.ndarray, shape: np.ndarray) -> np.ndarray:
    return x.reshape(shape)


def _concat(*parts: np.ndarray, axis: int) -> np.ndarray:
    return np.concatenate(parts, axis)


def _split(x: np.ndarray, *, axis: int, num_outputs: int) -> list[np.ndarray]:
    return np.split(x, num_outputs, axis)


def _unsqueeze(x: np.ndarray, axes: np.ndarray) -> np.ndarray:
    return np.expand_dims(x, tuple(axes))


_OPERATIONS: dict[str, Operation] = {
    "Add": np.add,
    "Concat": _concat,
    "Gather": _gather,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "Identity": lambda x: x,
    "LayerNormalization": _layer_normalization,
    "MatMul": np.matmul,
    "Mul": np.multiply,
    "Range": np.arange,
    "Reshape": _reshape,
    "Shape": lambda x: np.array(x.shape),
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Squeeze": np.squeeze,
    "Sub": np.subtract,
    "Transpose": lambda x, perm: x.transpose(perm),
    "Unsqueeze": _unsqueeze,
}
