"""Both towers of a dual encoder as graphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from clipwright.graph.arithmetic import Arithmetic, Float
from clipwright.graph.builder import Graph
from clipwright.graph.modified_resnet import modified_resnet
from clipwright.graph.transformer import Packing, Tower, attend, block, heads_of, last_block
from clipwright.model.config import ModelConfig, ResNetConfig, VisionTransformerConfig

IMAGE_INPUT = "pixels"
TEXT_INPUTS = ("ids", "ends")
OUTPUT = "features"
PACKED_INPUTS = ("tokens", "places", "nodes", "chosen", "ends")
_NEVER = -1e30
"""Added to the score of a token that may not be seen; its exponential is 0, and bfloat16 has it too."""


def image_graph(
    config: ModelConfig, weights: Mapping[str, Any], arithmetic: Arithmetic | None = None, *, halves: bool = False
) -> Graph:
    """pixels (B, 3, S, S) float32, prepared as InputSpec says, to features (B, embed_dim), not of unit length.

    arithmetic: how layers compute; float32 where none is given. halves: whether matrices are stored as bfloat16.
    """
    graph = Graph("image_tower", halves=halves)
    side = config.vision.image_size
    pixels = graph.input(IMAGE_INPUT, np.float32, ["batch", 3, side, side])
    tower = Tower(graph, weights, "vision", arithmetic or Float())
    if isinstance(config.vision, ResNetConfig):
        features = modified_resnet(tower, pixels, config.vision)
    else:
        features = _vision_transformer(tower, pixels, config.vision)
    graph.output(features, OUTPUT, ["batch", config.embed_dim])
    return graph


def text_graph(
    config: ModelConfig,
    weights: Mapping[str, Any],
    arithmetic: Arithmetic | None = None,
    *,
    halves: bool = False,
    packed: bool = False,
) -> Graph:
    """ids (B, L) int64 and ends (B,) int64, where each text ends, to features (B, embed_dim), not of unit length.

    L may be any length up to the context where the tower is causal, else it is the whole context. A causal tower may
    be packed: then it takes what graph/packing.py makes of ids and ends, and computes nothing twice.
    """
    graph, text = Graph("text_tower", halves=halves), config.text
    tower = Tower(graph, weights, "text", arithmetic or Float())
    table = tower.weight("token_embedding.weight")
    zero, one = graph.constant([0]), graph.constant([1])
    packing = None
    if packed:
        tokens, places = (graph.input(name, np.int64, ["tokens"]) for name in ("tokens", "places"))
        nodes, chosen = graph.input("nodes", np.int64, ["batch", "length"]), graph.input("chosen", np.int64, ["tokens"])
        ends = graph.input("ends", np.int64, ["batch"])
        batch, length = _sides(graph, nodes)
        packing = Packing.of(graph, nodes, chosen, length, text.heads)
        x = graph.node("Gather", [table, tokens], axis=0)
        x = graph.node("Add", [x, graph.node("Gather", [tower.weight("position_embedding"), places], axis=0)])
    else:
        ids, ends = graph.input("ids", np.int64, ["batch", "length"]), graph.input("ends", np.int64, ["batch"])
        batch, length = _sides(graph, ids)
        positions = graph.node("Slice", [tower.weight("position_embedding"), zero, length])  # (L, W)
        tokens = graph.node("Gather", [table, ids], axis=0)  # (B, L, W)
        x = graph.node("Reshape", [graph.node("Add", [tokens, positions]), graph.constant([-1, text.width])])
    place = ends if text.pool == "end" else graph.node("Sub", [length, one])
    starts = graph.node("Mul", [_range(graph, batch), length])
    read = graph.node("Add", [starts, place])  # the place among all B * L where each text is read
    if packed:
        read = graph.node("Gather", [graph.node("Reshape", [nodes, graph.constant([-1])]), read], axis=0)
    mask = reading_mask = None
    if text.causal:
        side = text.context_length
        above = graph.weight("text.causal_mask", np.triu(np.full((side, side), _NEVER, np.float32), 1))
        rows = graph.node("Slice", [above, zero, length, one])  # (context, L)
        mask = graph.node("Slice", [rows, zero, length, zero])  # (L, L)
        seen = graph.node("Gather", [rows, place], axis=0)  # (B, L)
        reading_mask = graph.node("Unsqueeze", [seen, graph.constant([1, 2])])
    for number in range(text.layers - 1):
        x = block(tower, x, number, text, length, mask, packing)
    x = last_block(tower, x, read, text, length, reading_mask, packing)
    x = tower.linear(tower.norm(x, "output_norm", text.epsilon), "projection", bias=text.projection_bias)
    graph.output(x, OUTPUT, ["batch", config.embed_dim])
    return graph


def _sides(graph: Graph, ids: str) -> tuple[str, str]:
    """Batch and length of (B, L), as (1,) int64 values."""
    shape = graph.node("Shape", [ids])
    batch, length = (
        graph.node("Slice", [shape, graph.constant([axis]), graph.constant([axis + 1])]) for axis in (0, 1)
    )
    return batch, length


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
