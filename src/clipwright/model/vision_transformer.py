"""The vision transformers of CLIP (Radford et al. 2021, §2.4) and SigLIP (Zhai et al. 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clipwright.model.config import VisionTransformerConfig
from clipwright.model.transformer import MLP, Block, initialise_blocks


class AttentionHead(nn.Module):
    """(B, P, W) to (B, W): one learned query gathers all places, then a residual MLP (Zhai et al. 2022, §3.4)."""

    def __init__(self, config: VisionTransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.probe = nn.Parameter(torch.empty(width))
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=config.epsilon)
        self.mlp = MLP(width, config.mlp_width, config.activation)
        nn.init.normal_(self.probe, std=width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        probe = self.probe.to(x.dtype).expand(x.shape[0], 1, -1)
        q, k, v = (
            linear(part).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, L, W/H)
            for linear, part in ((self.query, probe), (self.key, x), (self.value, x))
        )
        x = self.output(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)[:, 0])
        return x + self.mlp(self.norm(x))


class VisionTransformer(nn.Module):
    """Pixels (B, 3, S, S) to features (B, embed_dim), read at the class token or gathered by attention.

    Unlike in the transformer of Dosovitskiy et al., CLIP's tokens pass a LayerNorm before the first block too.
    """

    def __init__(self, config: VisionTransformerConfig, embed_dim: int) -> None:
        super().__init__()
        width, places = config.width, (config.image_size // config.patch_size) ** 2
        by_class = config.pool == "class"
        self.patch_embedding = nn.Conv2d(3, width, config.patch_size, config.patch_size, bias=config.patch_bias)
        self.class_embedding = nn.Parameter(torch.empty(width)) if by_class else None
        self.position_embedding = nn.Parameter(torch.empty(places + 1 if by_class else places, width))
        self.input_norm = nn.LayerNorm(width, eps=config.epsilon) if config.input_norm else nn.Identity()
        self.blocks = nn.ModuleList(
            Block(width, config.heads, config.mlp_width, config.activation, config.epsilon, causal=False)
            for _ in range(config.layers)
        )
        self.output_norm = nn.LayerNorm(width, eps=config.epsilon)
        self.head = None if by_class else AttentionHead(config)
        self.projection = nn.Linear(width, embed_dim, bias=False) if config.projection else nn.Identity()
        self.initialise()

    def initialise(self) -> None:
        std = self.position_embedding.shape[1] ** -0.5
        nn.init.normal_(self.position_embedding, std=std)
        if self.class_embedding is not None:
            nn.init.normal_(self.class_embedding, std=std)
        if isinstance(self.projection, nn.Linear):
            nn.init.normal_(self.projection.weight, std=std)
        initialise_blocks(self.blocks)

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.patch_embedding(pixels).flatten(2).transpose(1, 2)  # (B, P, W)
        if self.class_embedding is not None:
            class_token = self.class_embedding.to(x.dtype).expand(x.shape[0], 1, -1)
            x = torch.cat([class_token, x], dim=1)
        x = self.input_norm(x + self.position_embedding.to(x.dtype))
        for block in self.blocks:
            x = block(x)
        if self.head is None:
            return self.projection(self.output_norm(x[:, 0]))
        return self.projection(self.head(self.output_norm(x)))
