"""The dual encoder: two towers and the temperature between them (Radford et al. 2021, §2.3)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from clipwright.model.config import ModelConfig, ResNetConfig
from clipwright.model.modified_resnet import ModifiedResNet
from clipwright.model.text_transformer import TextTransformer
from clipwright.model.vision_transformer import VisionTransformer

INITIAL_TEMPERATURE = 0.07
SIGMOID_TEMPERATURE, INITIAL_BIAS = 0.1, -10.0
"""Zhai et al. 2023, §3.2: at first nearly every pair is taken for a mismatch."""


class DualEncoder(nn.Module):
    """A CLIP model. logit_scale holds the logarithm of the scale, ln(1 / temperature).

    logit_bias is what SigLIP adds to scaled similarities (Zhai et al. 2023, §3.2); other models have none.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.vision: ModifiedResNet | VisionTransformer
        if isinstance(config.vision, ResNetConfig):
            self.vision = ModifiedResNet(config.vision, config.embed_dim)
        else:
            self.vision = VisionTransformer(config.vision, config.embed_dim)
        self.text = TextTransformer(config.text, config.embed_dim)
        by_pairs = config.scores == "sigmoid"
        temperature = SIGMOID_TEMPERATURE if by_pairs else INITIAL_TEMPERATURE
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / temperature)))
        self.logit_bias = nn.Parameter(torch.tensor(INITIAL_BIAS)) if by_pairs else None

    def image_features(self, pixels: Tensor) -> Tensor:
        """Pixels (B, 3, S, S), prepared as InputSpec says, to features (B, embed_dim), not of unit length."""
        features: Tensor = self.vision(pixels)
        return features

    def text_features(self, tokens: Tensor, ends: Tensor) -> Tensor:
        """Tokens (B, L) and the places of their ends (B,) to features (B, embed_dim), not of unit length."""
        features: Tensor = self.text(tokens, ends)
        return features
