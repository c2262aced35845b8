"""The vision transformer of CLIP (Dosovitskiy et al. 2021; Radford et al. 2021, §2.4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clipwright.model.config import VisionTransformerConfig
from clipwright.model.transformer import Block, initialise_blocks


class VisionTransformer(nn.Module):
    """Pixels (B, 3, S, S) to features (B, embed_dim), read at the class token.

    Unlike the transformer of Dosovitskiy et al., the tokens pass a LayerNorm before the first block too.
    """

    def __init__(self, config: VisionTransformerConfig, embed_dim: int) -> None:
        super().__init__()
        width, tokens = config.width, (config.image_size // config.patch_size) ** 2 + 1
        self.patch_embedding = nn.Conv2d(3, width, config.patch_size, config.patch_size, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.position_embedding = nn.Parameter(torch.empty(tokens, width))
        self.input_norm = nn.LayerNorm(width, eps=config.epsilon)
        self.blocks = nn.ModuleList(
            Block(width, config.heads, config.mlp_width, config.activation, config.epsilon, causal=False)
            for _ in range(config.layers)
        )
        self.output_norm = nn.LayerNorm(width, eps=config.epsilon)
        self.projection = nn.Linear(width, embed_dim, bias=False)
        self.initialise()

    def initialise(self) -> None:
        std = self.class_embedding.shape[0] ** -0.5
        for parameter in (self.class_embedding, self.position_embedding, self.projection.weight):
            nn.init.normal_(parameter, std=std)
        initialise_blocks(self.blocks)

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.patch_embedding(pixels).flatten(2).transpose(1, 2)  # (B, P, W)
        class_token = self.class_embedding.to(patches.dtype).expand(patches.shape[0], 1, -1)
        x = torch.cat([class_token, patches], dim=1) + self.position_embedding.to(patches.dtype)
        x = self.input_norm(x)
        for block in self.blocks:
            x = block(x)
        return self.projection(self.output_norm(x[:, 0]))
