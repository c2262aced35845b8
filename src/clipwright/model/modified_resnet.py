"""The modified ResNet of CLIP (He et al. 2016; Radford et al. 2021, §2.4).

Three things differ from the usual ResNet: the stem has three convolutions, every stride is an average pooling before
a convolution (anti-aliased), and the last average pooling is one query of attention.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clipwright.model.config import ResNetConfig

EXPANSION = 4


def _conv3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


class Stem(nn.Module):
    """(B, 3, S, S) to (B, width, S/4, S/4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = _conv3(3, width // 2, stride=2), nn.BatchNorm2d(width // 2)
        self.conv2, self.norm2 = _conv3(width // 2, width // 2), nn.BatchNorm2d(width // 2)
        self.conv3, self.norm3 = _conv3(width // 2, width), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm1(self.conv1(x)), inplace=True)
        x = F.relu(self.norm2(self.conv2(x)), inplace=True)
        x = F.relu(self.norm3(self.conv3(x)), inplace=True)
        return F.avg_pool2d(x, 2)


class Downsample(nn.Module):
    """The shortcut where a block changes shape: average pooling by its stride, then a 1 x 1 convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(F.avg_pool2d(x, self.stride) if self.stride > 1 else x))


class Bottleneck(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * EXPANSION
        self.stride = stride
        self.conv1, self.norm1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.norm2 = _conv3(width, width), nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        changes = stride > 1 or inputs != outputs
        self.downsample = Downsample(inputs, outputs, stride) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.norm1(self.conv1(x)), inplace=True)
        x = F.relu(self.norm2(self.conv2(x)), inplace=True)
        if self.stride > 1:
            x = F.avg_pool2d(x, self.stride)
        return F.relu(self.norm3(self.conv3(x)) + shortcut, inplace=True)


class AttentionPool(nn.Module):
    """(B, W, h, w) to (B, outputs): the mean token asks, the mean and all places answer."""

    def __init__(self, places: int, width: int, heads: int, outputs: int) -> None:
        super().__init__()
        self.heads = heads
        self.position_embedding = nn.Parameter(torch.empty(places + 1, width))
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        positions = self._positions(x.shape[-1]).to(x.dtype)
        x = x.flatten(2).transpose(1, 2)  # (B, P, W)
        x = torch.cat([x.mean(dim=1, keepdim=True), x], dim=1) + positions
        q, k, v = self._split(self.query(x[:, :1])), self._split(self.key(x)), self._split(self.value(x))
        return self.output(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(1))

    def _positions(self, side: int) -> Tensor:
        """Embeddings for a grid of side x side places: resized where pictures are smaller or larger than usual."""
        places, width = self.position_embedding.shape[0] - 1, self.position_embedding.shape[1]
        if side * side == places:
            return self.position_embedding
        usual = math.isqrt(places)
        grid = self.position_embedding[1:].T.reshape(1, width, usual, usual)
        resized = F.interpolate(grid, (side, side), mode="bilinear", antialias=True).flatten(2)[0].T
        return torch.cat([self.position_embedding[:1], resized])

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, L, W/H)


class ModifiedResNet(nn.Module):
    """Pixels (B, 3, S, S) to features (B, embed_dim)."""

    def __init__(self, config: ResNetConfig, embed_dim: int) -> None:
        super().__init__()
        self.stem = Stem(config.width)
        stages: list[nn.Sequential] = []
        inputs = config.width
        for number, count in enumerate(config.stage_blocks):
            width = config.width * 2**number
            blocks = []
            for position in range(count):
                stride = 2 if number > 0 and position == 0 else 1
                blocks.append(Bottleneck(inputs, width, stride))
                inputs = width * EXPANSION
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.pool = AttentionPool((config.image_size // 32) ** 2, inputs, config.heads, embed_dim)
        self.initialise()

    def initialise(self) -> None:
        """As OpenAI's code: every residual branch starts at zero."""
        std = self.pool.query.in_features**-0.5
        nn.init.normal_(self.pool.position_embedding, std=std)
        for linear in (self.pool.query, self.pool.key, self.pool.value, self.pool.output):
            nn.init.normal_(linear.weight, std=std)
        for module in self.modules():
            if isinstance(module, Bottleneck):
                nn.init.zeros_(module.norm3.weight)

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.stem(pixels)
        for stage in self.stages:
            x = stage(x)
        return self.pool(x)
