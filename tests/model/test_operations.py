"""The counted arithmetic is that of the graphs, and near to what is published of known models."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import helper

from clipwright.graph.builder import Graph
from clipwright.graph.packing import pack_texts
from clipwright.graph.towers import image_graph, text_graph
from clipwright.model.config import ModelConfig, ResNetConfig, TextTransformerConfig, VisionTransformerConfig
from clipwright.model.openai import OPENAI_CONFIGS
from clipwright.model.operations import image_multiply_adds, text_multiply_adds
from clipwright.model.shapes import weight_shapes

TEXT = TextTransformerConfig(context_length=9, vocab_size=40, width=16, layers=3, heads=2, mlp_width=40)
VIT = VisionTransformerConfig(image_size=24, patch_size=8, width=16, layers=3, heads=2, mlp_width=48)
SIGLIP = dataclasses.replace(VIT, image_size=27, pool="attention", input_norm=False, projection=False, patch_bias=True)
RESNET = ResNetConfig(image_size=64, width=4, stage_blocks=(1, 2, 1, 2), heads=4)
IDS = np.array([[1, 5, 6, 7, 2], [1, 5, 8, 2, 0], [1, 9, 2, 0, 0]])
ENDS = np.array([4, 3, 2])


def counted(graph: Graph, inputs: dict[str, np.ndarray]) -> int:
    """The multiply-adds of a graph, from the shapes that its products and convolutions have when it runs."""
    model = graph.model("weights")
    products = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    names = {name for node in products for name in (node.input[0], node.output[0])} - inputs.keys()
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    options: Any = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(weight.read()) for weight in graph.weights.values()]
    options.add_external_initializers(list(graph.weights), values)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    wanted = sorted(names)
    shapes = {
        name: value.shape
        for name, value in (inputs | dict(zip(wanted, session.run(wanted, inputs), strict=True))).items()
    }
    total = 0
    for node in products:
        inner = (
            math.prod(graph.weights[node.input[1]].shape[1:]) if node.op_type == "Conv" else shapes[node.input[0]][-1]
        )
        total += math.prod(shapes[node.output[0]]) * inner
    return total


def zeros(config: ModelConfig) -> dict[str, np.ndarray]:
    return {name: np.zeros(shape, np.float32) for name, shape in weight_shapes(config).items()}


@pytest.mark.parametrize("vision", [VIT, SIGLIP, RESNET], ids=["vit", "siglip", "resnet"])
def test_a_picture_takes_what_its_graph_computes(vision: VisionTransformerConfig | ResNetConfig) -> None:
    config = ModelConfig(embed_dim=16, vision=vision, text=TEXT)
    pixels = np.zeros((1, 3, vision.image_size, vision.image_size), np.float32)
    assert image_multiply_adds(config) == counted(image_graph(config, zeros(config)), {"pixels": pixels})


def test_texts_take_what_their_graph_computes() -> None:
    config = ModelConfig(embed_dim=16, vision=VIT, text=TEXT)
    graph = text_graph(config, zeros(config))
    assert text_multiply_adds(config, 3, 5, 15) == counted(graph, {"ids": IDS, "ends": ENDS})


def test_packed_texts_take_what_their_graph_computes() -> None:
    config = ModelConfig(embed_dim=16, vision=VIT, text=TEXT)
    packed = pack_texts(IDS, ENDS)
    assert len(packed["tokens"]) == 9
    assert text_multiply_adds(config, 3, 5, 9) == counted(text_graph(config, zeros(config), packed=True), packed)


def test_vit_b_32_takes_its_4_4_billion_less_most_of_the_last_block() -> None:
    whole_block = 50 * 12 * 768**2 + 2 * 50 * 50 * 768
    published = 49 * 3072 * 768 + 12 * whole_block + 768 * 512
    assert 4.40e9 < published < 4.42e9
    kept_of_the_last = 50 * 2 * 768**2 + 10 * 768**2 + 2 * 50 * 768
    assert image_multiply_adds(OPENAI_CONFIGS["ViT-B/32"]) == published - whole_block + kept_of_the_last


def test_rn50_takes_more_than_the_usual_resnet_50() -> None:
    usual = 4.1e9  # He et al. 2016, table 1, with today's strides in the 3 x 3 convolutions
    assert 1.25 * usual < image_multiply_adds(OPENAI_CONFIGS["RN50"]) < 1.5 * usual
