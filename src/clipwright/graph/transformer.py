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
    """Where the tokens of several texts stand when what texts have in common stands only once.

    Rows of the width of one head are gathered, so that they come in the order in which attention reads them, and go
    back, without being transposed.
    """

    thirds: tuple[str, str, str]
    """Each (B, H, L) int64: of queries, keys and values the rows of a joint layer's output, (N * 3 * H, w)."""
    heads: str
    """(B, H, L) int64: the rows of one of them alone, (N * H, w)."""
    back: str
    """(N, H) int64: for each token and head a row of what attention gives, (B * H * L, w)."""

    @classmethod
    def of(cls, graph: Graph, nodes: str, chosen: str, length: str, heads: int) -> Packing:
        """nodes (B, L): which of the N each token of each text is; chosen (N,): a place among the B * L of each."""
        axis, many = graph.constant([1]), graph.constant([heads])
        apart = graph.node("Unsqueeze", [nodes, axis])  # (B, 1, L)
        joint = graph.node("Mul", [apart, graph.constant([3 * heads])])
        numbers = np.arange(heads)[:, None]
        thirds = tuple(graph.node("Add", [joint, graph.constant(part * heads + numbers)]) for part in range(3))
        alone = graph.node("Add", [graph.node("Mul", [apart, many]), graph.constant(numbers)])
        text = graph.node("Div", [chosen, length])
        place = graph.node("Sub", [chosen, graph.node("Mul", [text, length])])
        first = graph.node("Add", [graph.node("Mul", [graph.node("Mul", [text, many]), length]), place])  # (N,)
        steps = graph.node("Mul", [graph.constant(np.arange(heads)), length])  # (H,)
        back = graph.node("Add", [graph.node("Unsqueeze", [first, axis]), steps])
        return cls((thirds[0], thirds[1], thirds[2]), alone, back)


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
    return joined(graph, mix(graph, q, k, v, head_width, mask), head_width)


def mix(graph: Graph, q: str, k: str, v: str, head_width: int, mask: str | None) -> str:
    """Attention of (B, H, Q, w) on (B, H, L, w): (B, H, Q, w) (Vaswani et al. 2017, §3.2.1)."""
    scale = graph.constant(head_width**-0.25, np.float32)
    scaled = graph.node("Mul", [q, scale])
    turned = graph.node("Transpose", [graph.node("Mul", [k, scale])], perm=[0, 1, 3, 2])
    scores = graph.node("MatMul", [scaled, turned])
    if mask is not None:
        scores = graph.node("Add", [scores, mask])
    return str(graph.node("MatMul", [graph.node("Softmax", [scores], axis=-1), v]))


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
    if packing is None:
        thirds = graph.node("Split", [joint], count=3, axis=-1, num_outputs=3)
        q, k, v = (heads_of(graph, third, length, config.heads, head_width) for third in thirds)
        mixed = attend(graph, q, k, v, head_width, mask)
    else:
        of_heads = graph.constant([-1, head_width])
        rows = graph.node("Reshape", [joint, of_heads])
        q, k, v = (graph.node("Gather", [rows, third], axis=0) for third in packing.thirds)
        rows = graph.node("Reshape", [mix(graph, q, k, v, head_width, mask), of_heads])
        back = graph.node("Gather", [rows, packing.back], axis=0)
        mixed = graph.node("Reshape", [back, graph.constant([-1, config.width])])
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
    q = heads_of(graph, q, graph.constant([1]), config.heads, head_width)
    if packing is None:
        k, v = (heads_of(graph, part, length, config.heads, head_width) for part in (k, v))
    else:
        of_heads = graph.constant([-1, head_width])
        k, v = (
            graph.node("Gather", [graph.node("Reshape", [part, of_heads]), packing.heads], axis=0) for part in (k, v)
        )
    attended = tower.linear(attend(graph, q, k, v, head_width, mask), f"{name}.attention.output")
    x = graph.node("Add", [graph.node("Gather", [x, read], axis=0), attended])
    return _add_mlp(tower, x, name, config)


def _add_mlp(tower: Tower, x: str, name: str, config: VisionTransformerConfig | TextTransformerConfig) -> str:
    normed = tower.norm(x, f"{name}.mlp_norm", config.epsilon)
    return str(tower.graph.node("Add", [x, tower.mlp(normed, f"{name}.mlp", config.activation)]))
