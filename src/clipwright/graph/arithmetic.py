"""How the layers of a graph compute: in float32, or in integers of 8 bits where that is measured to be enough.

Integers follow Jacob et al. 2018 (§2): what enters a layer is rounded to 256 steps between the bounds that it had on
calibration inputs, weights to 127 steps for each output. Channels that reach far beyond the others would take all the
steps for themselves, so their part of a layer is computed apart, in float32 (Dettmers et al. 2022, §3.2).

Weights leave one bit free so that a graph gives the same numbers on every processor: those without VNNI add two
products of a uint8 and an int8 in 16 bits, where 2 x 255 x 63 fits and 2 x 255 x 127 is cut off without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from clipwright.graph.builder import Graph

_OUTLIER = 3.0
"""A channel stands out from this many times the bound that nine of ten channels keep."""
_LARGEST_SHARE = 1 / 16
"""Of a layer's channels: the most that are computed apart."""
_STEPS = 255
_WEIGHT_STEPS = 63
"""Steps of a weight on each side of 0."""
PROBE = "probe "
"""Begins the names of a probing graph's further outputs."""


@dataclass(frozen=True)
class Layer:
    """A linear layer: weights (outputs, inputs) and bias (outputs,), read when they are needed."""

    name: str
    shape: tuple[int, int]
    weight: Callable[[], np.ndarray]
    bias: Callable[[], np.ndarray] | None


class Arithmetic(Protocol):
    def linear(self, graph: Graph, x: str, layer: Layer) -> str:
        """(N, inputs) to (N, outputs)."""


class Float:
    """Everything in float32."""

    def linear(self, graph: Graph, x: str, layer: Layer) -> str:
        inputs = [x, graph.later(f"{layer.name}.weight", layer.shape, layer.weight), *_bias(graph, layer)]
        return str(graph.node("Gemm", inputs, transB=1))


class Probing(Float):
    """float32, with the least and the largest of every channel that enters a layer as further outputs (2, channels)."""

    def linear(self, graph: Graph, x: str, layer: Layer) -> str:
        axis = graph.constant([0])
        bounds = [graph.node(op, [x, axis], keepdims=1) for op in ("ReduceMin", "ReduceMax")]
        graph.output(graph.node("Concat", bounds, axis=0), PROBE + layer.name, [2, layer.shape[1]])
        return super().linear(graph, x, layer)


class Integers:
    """Linear layers in integers of 8 bits, between bounds that Probing found. Convolutions stay as they are.

    fused asks for a node that ONNX Runtime has of its own, which multiplies integers and gives floats at once; without
    it the graph says the same in standard nodes, which OpenVINO turns into integers by itself.
    """

    def __init__(self, bounds: Mapping[str, np.ndarray], fused: bool) -> None:
        """bounds: under each layer's name (2, channels), the least and the largest of every channel that enters it."""
        self._bounds = bounds
        self._fused = fused

    def linear(self, graph: Graph, x: str, layer: Layer) -> str:
        outliers, steps = self._quantised(graph, x, layer.name)
        matrix = _Rounded(layer, outliers)
        scale = graph.later(f"{layer.name}.scale", layer.shape[:1], matrix.scale)
        bias = _bias(graph, layer)
        if self._fused:
            turned = layer.shape[::-1]
            values = graph.later(f"{layer.name}.int8", turned, lambda: matrix.values().T, np.int8)
            inputs = [steps.value, values, steps.scale, scale, steps.zero, graph.constant(0, np.int8), *bias]
            y = graph.node("MatMulIntegerToFloat", inputs, domain="com.microsoft")
        else:
            values = graph.later(f"{layer.name}.int8", layer.shape, matrix.values, np.int8)
            floats = graph.node("DequantizeLinear", [values, scale], axis=0)
            y = graph.node("Gemm", [steps.floats(graph), floats, *bias], transB=1)
        if len(outliers):
            asked = graph.node("Gather", [x, graph.weight(f"{layer.name}.outliers", outliers, np.int64)], axis=1)
            shape = (layer.shape[0], len(outliers))
            apart = graph.later(f"{layer.name}.apart", shape, lambda: layer.weight()[:, outliers])
            y = graph.node("Add", [y, graph.node("Gemm", [asked, apart], transB=1)])
        return str(y)

    def _quantised(self, graph: Graph, x: str, name: str) -> tuple[np.ndarray, _Steps]:
        """x in steps between its bounds, outliers left out of account; and these."""
        bounds = self._bounds[name]
        outliers = _outliers(np.abs(bounds).max(axis=0))
        kept = np.delete(bounds, outliers, axis=1)
        low, high = min(0.0, float(kept[0].min())), max(0.0, float(kept[1].max()))
        width = max((high - low) / _STEPS, float(np.finfo(np.float32).tiny))
        scale = graph.constant(width, np.float32)
        zero = graph.constant(round(-low / width), np.uint8)
        return outliers, _Steps(graph.node("QuantizeLinear", [x, scale, zero]), scale, zero)


@dataclass(frozen=True)
class _Steps:
    """A value as uint8 steps of this scale from this zero."""

    value: str
    scale: str
    zero: str

    def floats(self, graph: Graph) -> str:
        return str(graph.node("DequantizeLinear", [self.value, self.scale, self.zero]))


@dataclass(frozen=True)
class _Rounded:
    """A layer's weights as int8 and a scale for each output; outliers among its inputs are 0."""

    layer: Layer
    outliers: np.ndarray

    def scale(self) -> np.ndarray:
        return self._kept()[1]

    def values(self) -> np.ndarray:
        weight, scale = self._kept()
        return np.asarray(np.rint(weight / scale[:, None]), np.int8)

    def _kept(self) -> tuple[np.ndarray, np.ndarray]:
        weight = np.array(self.layer.weight(), np.float32)
        weight[:, self.outliers] = 0
        scale = np.maximum(np.abs(weight).max(axis=1) / _WEIGHT_STEPS, np.finfo(np.float32).tiny)
        return weight, scale.astype(np.float32)


def _outliers(largest: np.ndarray) -> np.ndarray:
    """The channels, (C,) magnitudes, that stand out, in order: few, or they would be no outliers."""
    bound = _OUTLIER * np.quantile(largest, 0.9)
    most = int(len(largest) * _LARGEST_SHARE)
    found = np.argsort(-largest, kind="stable")[:most]
    return np.sort(found[largest[found] > bound])


def _bias(graph: Graph, layer: Layer) -> list[str]:
    return [] if layer.bias is None else [graph.later(f"{layer.name}.bias", layer.shape[:1], layer.bias)]
