"""Both towers of a dual encoder as graphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from clipwright.graph.builder import Graph
from clipwright.graph.modified_resnet import modified_resnet
from clipwright.graph.transformer import Tower, attend, block, heads_of, last_block
from clipwright.model.config import ModelConfig, ResNetConfig, VisionTransformerConfig

IMAGE_INPUT = "pixels"
TEXT_INPUTS = ("ids", "ends")
OUTPUT = "features"
_NEVER = float(np.finfo(np.float32).min)
"""Added to the score of a token that may not be seen; its exponential is 0 in every precision."""


def image_graph(config: ModelConfig, weights: Mapping[str, Any]) -> Graph:
    """pixels (B, 3, S, S) float32, prepared as InputSpec says, to features (B, embed_dim), not of unit length."""
    graph = Graph("image_tower")
    side = config.vision.image_size
    pixels = graph.input(IMAGE_INPUT, np.float32, ["batch", 3, side, side])
    tower = Tower(graph, weights, "vision")
    if isinstance(config.vision, ResNetConfig):
        features = modified_resnet(tower, pixels, config.vision)
    else:
        features = _vision_transformer(tower, pixels, config.vision)
    graph.output(features, OUTPUT, ["batch", config.embed_dim])
    return graph


def text_graph(config: ModelConfig, weights: Mapping[str, Any]) -> Graph:
    """ids (B, L) int64 and ends (B,) int64, where each text ends, to features (B, embed_dim), not of unit length.

    L may be any length up to the context where the tower is causal, else it is the whole context.
    """
    graph, text = Graph("text_tower"), config.text
    ids, ends = graph.input("ids", np.int64, ["batch", "length"]), graph.input("ends", np.int64, ["batch"])
    tower = Tower(graph, weights, "text")
    shape = graph.node("Shape", [ids])
    batch, length = (
        graph.node("Slice", [shape, graph.constant([axis]), graph.constant([axis + 1])]) for axis in (0, 1)
    )
    zero = graph.constant([0])
    positions = graph.node("Slice", [tower.weight("position_embedding"), zero, length])  # (L, W)
    tokens = graph.node("Gather", [tower.weight("token_embedding.weight"), ids], axis=0)  # (B, L, W)
    flat = graph.constant([-1, text.width])
    x = graph.node("Reshape", [graph.node("Add", [tokens, positions]), flat])
    place = ends if text.pool == "end" else graph.node("Sub", [length, graph.constant([1])])
    starts = graph.node("Mul", [_range(graph, batch), length])  # the row of x at which each text starts
    read = graph.node("Add", [starts, place])
    mask = reading_mask = None
    if text.causal:
        side = text.context_length
        table = graph.weight("text.causal_mask", np.triu(np.full((side, side), _NEVER, np.float32), 1))
        rows = graph.node("Slice", [table, zero, length, graph.constant([1])])  # (context, L)
        mask = graph.node("Slice", [rows, zero, length, zero])  # (L, L)
        chosen = graph.node("Gather", [rows, place], axis=0)  # (B, L)
        reading_mask = graph.node("Unsqueeze", [chosen, graph.constant([1, 2])])
    for number in range(text.layers - 1):
        x = block(tower, x, number, text, length, mask)
    x = last_block(tower, x, read, text, length, reading_mask)
    x = tower.linear(tower.norm(x, "output_norm", text.epsilon), "projection", bias=text.projection_bias)
    graph.output(x, OUTPUT, ["batch", config.embed_dim])
    return graph


def _range(graph: Graph, count: str) -> str:
    """0, 1, ... as many as count, a (1,) int64 value, says."""
    zero, one = graph.constant(0), graph.constant(1)
    return str(graph.node("Range", [zero, graph.node("Squeeze", [count]), one]))


def _vision_transformer(tower: Tower, pixels: str, config: VisionTransformerConfig) -> str:
    graph, width, patch = tower.graph, config.width, config.patch_size
    places = (config.image_size // patch) ** 2
    inputs = [pixels, tower.weight("patch_embedding.weight")]
    if config.patch_bias:
        inputs.append(tower.weight("patch_embedding.bias"))
    patches = graph.node("Conv", inputs, kernel_shape=[patch, patch], strides=[patch, patch])
    x = graph.node("Reshape", [patches, graph.constant([0, width, places])])
    x = graph.node("Transpose", [x], perm=[0, 2, 1])  # (B, P, W)
    positions = tower.array("position_embedding")
    batch = graph.node("Slice", [graph.node("Shape", [pixels]), graph.constant([0]), graph.constant([1])])
    if config.pool == "class":
        first = graph.weight("vision.class_token", tower.array("class_embedding") + positions[0])
        repeated = graph.node("Concat", [batch, graph.constant([1, width])], axis=0)
        x = graph.node("Add", [x, graph.weight("vision.position_embedding", positions[1:])])
        x = graph.node("Concat", [graph.node("Expand", [first, repeated]), x], axis=1)
        places += 1
    else:
        x = graph.node("Add", [x, graph.weight("vision.position_embedding", positions)])
    x = graph.node("Reshape", [x, graph.constant([-1, width])])
    if config.input_norm:
        x = tower.norm(x, "input_norm", config.epsilon)
    length = graph.constant([places])
    whole = config.layers - 1 if config.pool == "class" else config.layers
    for number in range(whole):
        x = block(tower, x, number, config, length, None)
    if config.pool == "class":
        read = graph.node("Mul", [_range(graph, batch), length])
        x = last_block(tower, x, read, config, length, None)
    x = tower.norm(x, "output_norm", config.epsilon)
    if config.pool == "attention":
        x = _attention_head(tower, x, config, length, batch)
    return tower.linear(x, "projection", bias=False) if config.projection else x


def _attention_head(tower: Tower, x: str, config: VisionTransformerConfig, length: str, batch: str) -> str:
    graph, heads, head_width = tower.graph, config.heads, config.width // config.heads
    # The query is the same for every picture, so it is no node: its linear layer is applied here.
    query = tower.array("head.query.weight") @ tower.array("head.probe") + tower.array("head.query.bias")
    shape = graph.node("Concat", [batch, graph.constant([heads, 1, head_width])], axis=0)
    stored = graph.weight("vision.head.query", query.reshape(1, heads, 1, head_width))
    q = graph.node("Expand", [stored, shape])
    k, v = (heads_of(graph, tower.linear(x, f"head.{name}"), length, heads, head_width) for name in ("key", "value"))
    x = tower.linear(attend(graph, q, k, v, head_width, None), "head.output")
    normed = tower.norm(x, "head.norm", config.epsilon)
    return str(graph.node("Add", [x, tower.mlp(normed, "head.mlp", config.activation)]))
