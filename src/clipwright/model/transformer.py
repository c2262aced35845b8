"""The residual attention block that the vision and the text transformer share.

Follows Radford et al. 2021, §2.4: LayerNorm before attention and before the MLP.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clipwright.model.config import Activation


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x): the approximation of GELU that OpenAI's models were trained with."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


def activation_module(name: Activation) -> nn.Module:
    if name == "quick_gelu":
        return QuickGELU()
    return nn.GELU(approximate="tanh" if name == "gelu_tanh" else "none")


class SelfAttention(nn.Module):
    """Multi-head self-attention over (B, L, W), causal or not."""

    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.qkv = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        qkv = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, H, L, W/H)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.output(mixed.transpose(1, 2).reshape(batch, length, width))


class MLP(nn.Module):
    def __init__(self, width: int, mlp_width: int, activation: Activation) -> None:
        super().__init__()
        self.up = nn.Linear(width, mlp_width)
        self.activation = activation_module(activation)
        self.down = nn.Linear(mlp_width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.activation(self.up(x)))


class Block(nn.Module):
    """One residual block: (B, L, W) in and out."""

    def __init__(
        self, width: int, heads: int, mlp_width: int, activation: Activation, epsilon: float, *, causal: bool
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps=epsilon)
        self.attention = SelfAttention(width, heads, causal)
        self.mlp_norm = nn.LayerNorm(width, eps=epsilon)
        self.mlp = MLP(width, mlp_width, activation)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x))
        return x + self.mlp(self.mlp_norm(x))


def initialise_blocks(blocks: nn.ModuleList) -> None:
    """Random weights as in OpenAI's code: spread shrinks with width, and with depth where a residual is written."""
    for block in blocks:
        assert isinstance(block, Block)
        width = block.attention.output.in_features
        residual_std = width**-0.5 * (2 * len(blocks)) ** -0.5
        nn.init.normal_(block.attention.qkv.weight, std=width**-0.5)
        nn.init.normal_(block.attention.output.weight, std=residual_std)
        nn.init.normal_(block.mlp.up.weight, std=(2 * width) ** -0.5)
        nn.init.normal_(block.mlp.down.weight, std=residual_std)
        for linear in (block.attention.qkv, block.attention.output, block.mlp.up, block.mlp.down):
            nn.init.zeros_(linear.bias)
