"""The text transformers of CLIP (Radford et al. 2021, §2.4) and SigLIP (Zhai et al. 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clipwright.model.config import TextTransformerConfig
from clipwright.model.transformer import Block, initialise_blocks


class TextTransformer(nn.Module):
    """Tokens (B, L) to features (B, embed_dim), read where each text ends, or at the last place.

    In a causal tower that is read at each text's end, whatever pads a text behind it changes nothing: L may be any
    length up to the context that holds the longest text of the batch. Else (config.sees_padding) texts fill the whole
    context.
    """

    def __init__(self, config: TextTransformerConfig, embed_dim: int) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocab_size, config.width)
        self.position_embedding = nn.Parameter(torch.empty(config.context_length, config.width))
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, config.mlp_width, config.activation, config.epsilon, causal=config.causal)
            for _ in range(config.layers)
        )
        self.output_norm = nn.LayerNorm(config.width, eps=config.epsilon)
        self.projection = nn.Linear(config.width, embed_dim, bias=config.projection_bias)
        self.pool = config.pool
        self.initialise()

    def initialise(self) -> None:
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.position_embedding, std=0.01)
        nn.init.normal_(self.projection.weight, std=self.projection.in_features**-0.5)
        initialise_blocks(self.blocks)

    def forward(self, tokens: Tensor, ends: Tensor) -> Tensor:
        """tokens (B, L) int64 and ends (B,) int64, the place of each text's end token, give features (B, embed_dim)."""
        x = self.token_embedding(tokens) + self.position_embedding[: tokens.shape[1]]  # (B, L, W)
        for block in self.blocks:
            x = block(x)
        read = x[:, -1] if self.pool == "last" else x[torch.arange(x.shape[0], device=x.device), ends]  # (B, W)
        return self.projection(self.output_norm(read))
