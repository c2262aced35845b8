"""The modified ResNet as graph nodes. BatchNorm is folded into the convolution before it."""

from __future__ import annotations

import numpy as np

from clipwright.graph.transformer import Tower, attend, heads_of
from clipwright.model.config import ResNetConfig
from clipwright.model.shapes import RESNET_EXPANSION

_EPSILON = 1e-5
"""Of BatchNorm in OpenAI's models."""


def modified_resnet(tower: Tower, pixels: str, config: ResNetConfig) -> str:
    """pixels (B, 3, S, S) to features (B, embed_dim)."""
    graph = tower.graph
    x = pixels
    for number in (1, 2, 3):
        x = graph.node("Relu", [_convolution(tower, x, f"stem.conv{number}", stride=2 if number == 1 else 1)])
    x = _halve(tower, x)
    for stage, count in enumerate(config.stage_blocks):
        for position in range(count):
            x = _bottleneck(tower, x, f"stages.{stage}.{position}", position == 0, stage > 0 and position == 0)
    return _attention_pool(tower, x, config)


def _convolution(tower: Tower, x: str, name: str, stride: int = 1) -> str:
    graph, norm = tower.graph, name.replace("conv", "norm")
    shape = np.shape(tower.weights[f"{tower.prefix}.{name}.weight"])
    gain = tower.array(f"{norm}.weight") / np.sqrt(tower.array(f"{norm}.running_var") + _EPSILON)
    bias = tower.array(f"{norm}.bias") - tower.array(f"{norm}.running_mean") * gain

    def kernel() -> np.ndarray:
        return np.asarray(tower.array(f"{name}.weight") * gain[:, None, None, None])

    inputs = [
        x,
        graph.later(f"{tower.prefix}.{name}.weight", shape, kernel),
        graph.weight(f"{tower.prefix}.{name}.bias", bias),
    ]
    pads = [shape[-1] // 2] * 4
    return str(graph.node("Conv", inputs, kernel_shape=shape[-2:], strides=[stride, stride], pads=pads))


def _halve(tower: Tower, x: str) -> str:
    return str(tower.graph.node("AveragePool", [x], kernel_shape=[2, 2], strides=[2, 2]))


def _bottleneck(tower: Tower, x: str, name: str, changes: bool, halves: bool) -> str:
    graph = tower.graph
    shortcut = x
    if changes:
        shortcut = _convolution(tower, _halve(tower, x) if halves else x, f"{name}.downsample.conv")
    for number in (1, 2):
        x = graph.node("Relu", [_convolution(tower, x, f"{name}.conv{number}")])
    x = _halve(tower, x) if halves else x
    return str(graph.node("Relu", [graph.node("Add", [_convolution(tower, x, f"{name}.conv3"), shortcut])]))


def _attention_pool(tower: Tower, x: str, config: ResNetConfig) -> str:
    graph, places = tower.graph, (config.image_size // 32) ** 2
    width = config.width * 2**3 * RESNET_EXPANSION
    head_width = width // config.heads
    x = graph.node("Reshape", [x, graph.constant([0, width, places])])
    x = graph.node("Transpose", [x], perm=[0, 2, 1])  # (B, P, W)
    mean = graph.node("ReduceMean", [x, graph.constant([1])], keepdims=1)
    x = graph.node("Add", [graph.node("Concat", [mean, x], axis=1), tower.weight("pool.position_embedding")])
    asking = graph.node("Gather", [x, graph.constant(0)], axis=1)  # (B, W)
    flat = graph.node("Reshape", [x, graph.constant([-1, width])])
    one, length = graph.constant([1]), graph.constant([places + 1])
    q, k, v = (
        heads_of(graph, tower.linear(part, f"pool.{name}"), count, config.heads, head_width)
        for part, name, count in ((asking, "query", one), (flat, "key", length), (flat, "value", length))
    )
    return tower.linear(attend(graph, q, k, v, head_width, None), "pool.output")
