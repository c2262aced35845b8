"""Linear layers in 8-bit integers stay near those in float32, whatever channels stand out, in both runtimes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest

from clipwright.embedding.backends.onnx import open_in_memory
from clipwright.graph.arithmetic import Integers, Layer
from clipwright.graph.builder import Graph

ROWS, INPUTS, OUTPUTS = 200, 64, 48


def layer_and_inputs(outliers: float) -> tuple[Layer, np.ndarray, np.ndarray]:
    """A layer, what enters it, and what float64 makes of that; two channels are so many times as large as others."""
    random = np.random.default_rng(0)
    x = random.standard_normal((ROWS, INPUTS)).astype(np.float32)
    x[:, [5, 40]] *= outliers
    weight = random.standard_normal((OUTPUTS, INPUTS)).astype(np.float32)
    weight[:, [5, 40]] /= outliers
    bias = random.standard_normal(OUTPUTS).astype(np.float32)
    return Layer("layer", weight.shape, lambda: weight, lambda: bias), x, x.astype(np.float64) @ weight.T + bias


def integer_graph(layer: Layer, x: np.ndarray, *, fused: bool) -> Graph:
    graph = Graph("one layer")
    given = graph.input("x", np.float32, ["rows", INPUTS])
    bounds = {"layer": np.stack([x.min(axis=0), x.max(axis=0)])}
    graph.output(Integers(bounds, fused).linear(graph, given, layer), "y", ["rows", OUTPUTS])
    return graph


def by_onnxruntime(graph: Graph, x: np.ndarray, folder: Path) -> np.ndarray:
    return np.asarray(open_in_memory(graph, None).run(["y"], {"x": x})[0])


def by_openvino(graph: Graph, x: np.ndarray, folder: Path) -> np.ndarray:
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(graph.write(folder)), "CPU", settings)
    return np.asarray(compiled({"x": x})[0])


@pytest.mark.parametrize("outliers", [1.0, 30.0, 1000.0])
@pytest.mark.parametrize(("fused", "run"), [(True, by_onnxruntime), (False, by_onnxruntime), (False, by_openvino)])
def test_integers_are_near_floats(
    outliers: float, fused: bool, run: Callable[[Graph, np.ndarray, Path], np.ndarray], tmp_path: Path
) -> None:
    layer, x, exact = layer_and_inputs(outliers)
    y = run(integer_graph(layer, x, fused=fused), x, tmp_path)
    assert np.abs(y - exact).std() / exact.std() < 0.02


def test_channels_that_stand_out_are_computed_apart() -> None:
    layer, x, _ = layer_and_inputs(30.0)
    graph = integer_graph(layer, x, fused=True)
    assert graph.weights["layer.outliers"].read().tolist() == [5, 40]
    assert not graph.weights["layer.int8"].read()[[5, 40]].any()
    assert "layer.outliers" not in integer_graph(*layer_and_inputs(1.0)[:2], fused=True).weights


@pytest.mark.parametrize("run", [by_onnxruntime, by_openvino])
@pytest.mark.parametrize("rows", [1, 2, 50])
def test_the_largest_products_are_added_exactly(
    run: Callable[[Graph, np.ndarray, Path], np.ndarray], rows: int, tmp_path: Path
) -> None:
    """Processors without VNNI add two of them in 16 bits."""
    weight = np.ones((OUTPUTS, INPUTS), np.float32)
    weight[::2] = -1
    x = np.full((rows, INPUTS), 255, np.float32)
    bounds = {"layer": np.stack([np.zeros(INPUTS), x[0]])}
    graph = Graph("largest products")
    given = graph.input("x", np.float32, ["rows", INPUTS])
    layer = Layer("layer", weight.shape, lambda: weight, None)
    graph.output(Integers(bounds, run is by_onnxruntime).linear(graph, given, layer), "y", ["rows", OUTPUTS])
    assert 2 * 255 * int(np.abs(graph.weights["layer.int8"].read().astype(np.int64)).max()) < 2**15
    np.testing.assert_allclose(run(graph, x, tmp_path), x @ weight.T, rtol=1e-6)


def test_without_onnx_runtimes_own_node_the_graph_is_standard() -> None:
    layer, x, _ = layer_and_inputs(30.0)
    model = integer_graph(layer, x, fused=False).model("weights")
    assert {node.domain for node in model.graph.node} == {""}
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)


def test_a_channel_beyond_its_bounds_is_held_at_them() -> None:
    layer, x, exact = layer_and_inputs(1.0)
    graph = integer_graph(layer, x, fused=True)
    far = x.copy()
    far[0] *= 100
    y = open_in_memory(graph, None).run(["y"], {"x": far})[0]
    assert np.isfinite(y).all()
    np.testing.assert_allclose(y[1:], exact[1:], atol=0.6)
