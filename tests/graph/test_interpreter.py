"""NumPy gives of a text tower's graph what its maker's code gives, and reads no more of it than it needs."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from clipwright.embedding.backends.onnx import open_in_memory
from clipwright.graph.builder import Graph
from clipwright.graph.interpreter import run_graph
from clipwright.graph.towers import OUTPUT, text_graph
from clipwright.model.config import TextTransformerConfig
from clipwright.model.openai import OPENAI_CONFIGS
from tests.graph.test_towers import MODELS, checkpoint
from tests.reference import LAYOUTS, answers, reference_checkpoint
from tests.support import equal_to_reference


@pytest.mark.parametrize("layout", LAYOUTS)
def test_features_are_the_makers(layout: str) -> None:
    model, expected = reference_checkpoint(layout), answers(layout)
    ends = (expected.ids == model.spec.end_id).argmax(axis=1)
    features = run_graph(text_graph(model.config, model.weights), {"ids": expected.ids, "ends": ends})
    if expected.unit:
        features /= np.linalg.norm(features, axis=1, keepdims=True)
    assert equal_to_reference(features, expected.text_features)


@pytest.mark.parametrize("name", ["vit", "siglip"])
@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "quick_gelu"])
@pytest.mark.parametrize("count", [1, 3])
def test_features_are_those_of_onnx_runtime(name: str, activation: Any, count: int) -> None:
    config = replace(MODELS[name], text=replace(MODELS[name].text, activation=activation))
    inputs = texts(config.text, count)
    graph = text_graph(config, checkpoint(config).weights)
    (expected,) = open_in_memory(graph, 1).run([OUTPUT], inputs)
    assert equal_to_reference(run_graph(graph, inputs), expected)


def test_a_tower_of_real_width_is_computed_in_blocks_and_alike() -> None:
    openai = OPENAI_CONFIGS["ViT-B/32"]
    config = replace(openai, text=replace(openai.text, layers=2, vocab_size=600))
    inputs = texts(config.text, 1) | {"ids": np.arange(7)[None], "ends": np.array([6])}
    graph = text_graph(config, checkpoint(config).weights)
    (expected,) = open_in_memory(graph, 1).run([OUTPUT], inputs)
    assert equal_to_reference(run_graph(graph, inputs), expected)


def test_of_the_token_embeddings_only_the_rows_asked_for_are_read() -> None:
    config = replace(MODELS["vit"], text=replace(MODELS["vit"].text, vocab_size=50_000))
    name = "text.token_embedding.weight"
    weights = dict(checkpoint(config).weights)
    weights[name] = halved = np.asarray(weights[name], np.float16)  # as published ones often are
    graph, inputs = text_graph(config, weights), texts(config.text, 1)
    tracemalloc.start()
    try:
        run_graph(graph, inputs)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < halved.nbytes / 4


def test_an_operator_that_no_text_tower_has_is_an_error() -> None:
    graph = Graph("other")
    graph.output(graph.node("Conv", [graph.input("x", np.float32, [1])]), OUTPUT, [1])
    with pytest.raises(KeyError, match="Conv"):
        run_graph(graph, {"x": np.zeros(1, np.float32)})


def texts(config: TextTransformerConfig, count: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    length = config.context_length
    ids = random.integers(1, config.vocab_size - 1, (count, length))
    return {"ids": ids, "ends": random.integers(2, length, count)}
