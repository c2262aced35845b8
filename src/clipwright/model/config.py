"""What a CLIP model is made of, as numbers: enough to build its towers in torch or as a graph. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Activation = Literal["quick_gelu", "gelu", "gelu_tanh"]
"""quick_gelu is x * sigmoid(1.702 x), which OpenAI trained with; gelu is the exact one; gelu_tanh the approximation by
a hyperbolic tangent (Hendrycks and Gimpel 2016, §2), with which SigLIP was trained."""

ACTIVATIONS: tuple[Activation, ...] = ("quick_gelu", "gelu", "gelu_tanh")


def _check_positive(config: object, *names: str) -> None:
    for name in names:
        if getattr(config, name) < 1:
            raise ValueError(f"{type(config).__name__}.{name} must be at least 1, not {getattr(config, name)}")


def _check_transformer(config: VisionTransformerConfig | TextTransformerConfig) -> None:
    _check_positive(config, "width", "layers", "heads", "mlp_width")
    if config.width % config.heads:
        raise ValueError(f"width {config.width} is not a multiple of heads {config.heads}")
    if config.activation not in ACTIVATIONS:
        raise ValueError(f"unknown activation {config.activation!r}; known: {', '.join(ACTIVATIONS)}")


@dataclass(frozen=True, kw_only=True)
class VisionTransformerConfig:
    """A vision transformer (Dosovitskiy et al. 2021): CLIP's (Radford et al. 2021, §2.4) where nothing else is said.

    SigLIP's (Zhai et al. 2023) pools by attention and has neither input_norm nor projection.
    """

    image_size: int
    """Side of the square input, in pixels."""
    patch_size: int
    """Side of a patch. Of a picture that patches do not fill, SigLIP ignores the rest (so400m/14 at 384 px)."""
    width: int
    layers: int
    heads: int
    mlp_width: int
    """Width inside each block's MLP: 4 x width in every model of OpenAI."""
    activation: Activation = "quick_gelu"
    epsilon: float = 1e-5
    """Added to the variance in every LayerNorm."""
    pool: Literal["class", "attention"] = "class"
    """class: read at a class token. attention: a learned query gathers all patches (Zhai et al. 2022, §3.4)."""
    patch_bias: bool = False
    input_norm: bool = True
    """Whether tokens pass a LayerNorm before the first block."""
    projection: bool = True
    """Whether a matrix takes what was pooled to embed_dim; else width is embed_dim."""

    def __post_init__(self) -> None:
        _check_positive(self, "image_size", "patch_size")
        _check_transformer(self)
        if self.image_size < self.patch_size:
            raise ValueError(f"image_size {self.image_size} is smaller than patch_size {self.patch_size}")
        if self.pool == "class" and self.image_size % self.patch_size:
            raise ValueError(f"image_size {self.image_size} is not a multiple of patch_size {self.patch_size}")


@dataclass(frozen=True, kw_only=True)
class ResNetConfig:
    """The modified ResNet of Radford et al. 2021, §2.4: stride 32 in all, pooled by attention."""

    image_size: int
    """Side of the square input, in pixels: a multiple of 32."""
    width: int
    """Channels after the stem; the last stage has 32 x width."""
    stage_blocks: tuple[int, int, int, int]
    """Bottleneck blocks in each of the four stages."""
    heads: int
    """Heads of the attention pooling, which is 32 x width wide."""

    def __post_init__(self) -> None:
        _check_positive(self, "image_size", "width", "heads")
        if self.image_size % 32:
            raise ValueError(f"image_size {self.image_size} is not a multiple of 32")
        if self.width % 2:
            raise ValueError(f"width {self.width} is odd; the stem begins with half of it")
        if min(self.stage_blocks) < 1:
            raise ValueError(f"stage_blocks must be four counts of at least 1, not {self.stage_blocks}")
        if (32 * self.width) % self.heads:
            raise ValueError(f"32 x width {self.width} is not a multiple of heads {self.heads}")


@dataclass(frozen=True, kw_only=True)
class TextTransformerConfig:
    """A text transformer: causal and read at the end token (Radford et al. 2021, §2.4) where nothing else is said."""

    context_length: int
    """The most tokens a text may have, start and end included."""
    vocab_size: int
    width: int
    layers: int
    heads: int
    mlp_width: int
    activation: Activation = "quick_gelu"
    epsilon: float = 1e-5
    causal: bool = True
    """Whether a token sees only those before it. If not, what pads a text counts too (SigLIP)."""
    pool: Literal["end", "last"] = "end"
    """Where features are read: at the end token of each text, or at the last place of the context."""
    projection_bias: bool = False

    def __post_init__(self) -> None:
        _check_positive(self, "context_length", "vocab_size")
        _check_transformer(self)

    @property
    def sees_padding(self) -> bool:
        """Whether what pads a text changes its features, so that texts have to fill the whole context."""
        return not self.causal or self.pool == "last"


VisionConfig = VisionTransformerConfig | ResNetConfig


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Two towers and the width of the space that they share."""

    embed_dim: int
    vision: VisionConfig
    text: TextTransformerConfig
    scores: Literal["softmax", "sigmoid"] = "softmax"
    """How similarities become probabilities: among the texts (CLIP), or of each text by itself, with a learned bias
    (SigLIP; Zhai et al. 2023, §3.2)."""

    def __post_init__(self) -> None:
        _check_positive(self, "embed_dim")
        vision = self.vision
        if isinstance(vision, VisionTransformerConfig) and not vision.projection and vision.width != self.embed_dim:
            raise ValueError(f"without a projection, width {vision.width} must be embed_dim {self.embed_dim}")
