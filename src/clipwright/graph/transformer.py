"""The residual attention blocks of both transformers as graph nodes.

Tokens lie one below the other, (B * L, W), so that every linear layer is one Gemm with its bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from clipwright.graph.arithmetic import Arithmetic, Layer
from clipwright.graph.builder import Graph
from clipwright.model.config import Activation, TextTransformerConfig, VisionTransformerConfig

QUICK_GELU_SLOPE = 1.702


@dataclass(frozen=True)
class Tower:
    """A graph in the making, the weights of one tower by their names in it, and how its layers compute."""

    graph: Graph
    weights: Mapping[str, Any]
    prefix: str
    arithmetic: Arithmetic

    def array(self, name: str) -> np.ndarray:
        return np.asarray(self.weights[f"{self.prefix}.{name}"], np.float32)

    def weight(self, name: str) -> str:
        return self.graph.weight(f"{self.prefix}.{name}", self.weights[f"{self.prefix}.{name}"])

    def linear(self, x: str, name: str, rows: slice | None = None, bias: bool = True) -> str:
        """(N, in) to (N, out); rows takes only these outputs of the layer."""
        label = "" if rows is None else f"[{rows.start}:{rows.stop}]"
        chosen = rows or slice(None)
        outputs, inputs = np.shape(self.weights[f"{self.prefix}.{name}.weight"])
        layer = Layer(
            name=f"{self.prefix}.{name}{label}",
            shape=(len(range(outputs)[chosen]), inputs),
            weight=lambda: self.array(f"{name}.weight")[chosen],
            bias=(lambda: self.array(f"{name}.bias")[chosen]) if bias else None,
        )
        return self.arithmetic.linear(self.graph, x, layer)

    def norm(self, x: str, name: str, epsilon: float) -> str:
        inputs = [x, self.weight(f"{name}.weight"), self.weight(f"{name}.bias")]
        return str(self.graph.node("LayerNormalization", inputs, axis=-1, epsilon=epsilon))

    def mlp(self, x: str, name: str, activation: Activation) -> str:
        up = self.linear(x, f"{name}.up")
        return self.linear(activate(self.graph, up, activation), f"{name}.down")


@dataclass(frozen=True)
class Packing:
    """Where the tokens of several texts stand when what texts have in common stands only once."""

    nodes: str
    """(B * L,) int64: the row of x that is each token of each text."""
    chosen: str
    """(N,) int64: for each row of x, a place among the B * L where it stands."""


def activate(graph: Graph, x: str, activation: Activation) -> str:
    if activation == "quick_gelu":
        gate = graph.node("Sigmoid", [graph.node("Mul", [x, graph.constant(QUICK_GELU_SLOPE, np.float32)])])
        return str(graph.node("Mul", [x, gate]))
    return str(graph.node("Gelu", [x], approximate="tanh" if activation == "gelu_tanh" else "none"))


def heads_of(graph: Graph, x: str, length: str, heads: int, head_width: int) -> str:
    """(B * L, W) to (B, H, L, W/H). length: a (1,) int64 value, or a constant of it."""
    shape = graph.node("Concat", [graph.constant([-1]), length, graph.constant([heads, head_width])], axis=0)
    return str(graph.node("Transpose", [graph.node("Reshape", [x, shape])], perm=[0, 2, 1, 3]))


def attend(graph: Graph, q: str, k: str, v: str, head_width: int, mask: str | None) -> str:
    """Attention of (B, H, Q, w) on (B, H, L, w), as tokens one below the other: (B * Q, W)."""
    scale = graph.constant(head_width**-0.25, np.float32)
    scaled = graph.node("Mul", [q, scale])
    turned = graph.node("Transpose", [graph.node("Mul", [k, scale])], perm=[0, 1, 3, 2])
    scores = graph.node("MatMul", [scaled, turned])
    if mask is not None:
        scores = graph.node("Add", [scores, mask])
    mixed = graph.node("MatMul", [graph.node("Softmax", [scores], axis=-1), v])
    return joined(graph, mixed, head_width)


def joined(graph: Graph, x: str, head_width: int) -> str:
    """(B, H, Q, w) to (B * Q, H * w)."""
    turned = graph.node("Transpose", [x], perm=[0, 2, 1, 3])
    shape = graph.node("Shape", [turned])
    heads = graph.node("Slice", [shape, graph.constant([2]), graph.constant([3])])
    width = graph.node("Mul", [heads, graph.constant([head_width])])
    return str(graph.node("Reshape", [turned, graph.node("Concat", [graph.constant([-1]), width], axis=0)]))


def block(
    tower: Tower,
    x: str,
    number: int,
    config: VisionTransformerConfig | TextTransformerConfig,
    length: str,
    mask: str | None,
    packing: Packing | None = None,
) -> str:
    """One residual block on all tokens, (B * L, W) in and out, or (N, W) where they are packed."""
    graph, name, head_width = tower.graph, f"blocks.{number}", config.width // config.heads
    normed = tower.norm(x, f"{name}.attention_norm", config.epsilon)
    joint = tower.linear(normed, f"{name}.attention.qkv")
    if packing is not None:
        joint = graph.node("Gather", [joint, packing.nodes], axis=0)
    thirds = graph.node("Split", [joint], count=3, axis=-1, num_outputs=3)
    q, k, v = (heads_of(graph, third, length, config.heads, head_width) for third in thirds)
    mixed = attend(graph, q, k, v, head_width, mask)
    if packing is not None:
        mixed = graph.node("Gather", [mixed, packing.chosen], axis=0)
    x = graph.node("Add", [x, tower.linear(mixed, f"{name}.attention.output")])
    return _add_mlp(tower, x, name, config)


def last_block(
    tower: Tower,
    x: str,
    read: str,
    config: VisionTransformerConfig | TextTransformerConfig,
    length: str,
    mask: str | None,
    packing: Packing | None = None,
) -> str:
    """The last block where only one token a row is read afterwards: (B * L, W) to (B, W).

    read: (B,) int64, the rows of x that are read. All tokens are looked at, but only those look.
    """
    graph, width = tower.graph, config.width
    name, head_width = f"blocks.{config.layers - 1}", config.width // config.heads
    normed = tower.norm(x, f"{name}.attention_norm", config.epsilon)
    asking = graph.node("Gather", [normed, read], axis=0)
    q = tower.linear(asking, f"{name}.attention.qkv", slice(0, width))
    k, v = (tower.linear(normed, f"{name}.attention.qkv", slice(start, start + width)) for start in (width, 2 * width))
    if packing is not None:
        k, v = (graph.node("Gather", [part, packing.nodes], axis=0) for part in (k, v))
    one = graph.constant([1])
    q, k, v = (
        heads_of(graph, part, part_length, config.heads, head_width)
        for part, part_length in ((q, one), (k, length), (v, length))
    )
    attended = tower.linear(attend(graph, q, k, v, head_width, mask), f"{name}.attention.output")
    x = graph.node("Add", [graph.node("Gather", [x, read], axis=0), attended])
    return _add_mlp(tower, x, name, config)


def _add_mlp(tower: Tower, x: str, name: str, config: VisionTransformerConfig | TextTransformerConfig) -> str:
    normed = tower.norm(x, f"{name}.mlp_norm", config.epsilon)
    return str(tower.graph.node("Add", [x, tower.mlp(normed, f"{name}.mlp", config.activation)]))
