"""The architectures of CLIP by their names in OpenCLIP, for weights that come without a config.

Shapes show neither the activation nor the heads. A name says both, and has to fit the shapes.
"""

from __future__ import annotations

from dataclasses import replace

from clipwright.errors import CheckpointError, suggestion
from clipwright.model.config import ModelConfig, TextTransformerConfig, VisionTransformerConfig
from clipwright.model.openai import OPENAI_CONFIGS

_QUICK = "-quickgelu"
"""Behind the name of an architecture whose activation is OpenAI's; without it, it is the exact GELU."""
_SIZES = {
    "S": (384, 12, 6, 1536, 384, 12),
    "S-alt": (384, 12, 6, 1536, 256, 10),
    "M": (512, 12, 8, 2048, 512, 12),
    "M-alt": (512, 12, 8, 2048, 384, 12),
    "B": (768, 12, 12, 3072, 512, 12),
    "B-plus": (896, 12, 14, 3584, 640, 12),
    "L": (1024, 24, 16, 4096, 768, 12),
    "H": (1280, 32, 16, 5120, 1024, 24),
    "g": (1408, 40, 16, 6144, 1024, 24),
    "bigG": (1664, 48, 16, 8192, 1280, 32),
    "e": (1792, 56, 16, 15360, 1280, 36),
}
"""Width, layers, heads and MLP width of the image tower; width of the text tower and of the space; text layers."""
_TRANSFORMERS = {
    "ViT-S-32": ("S", 32, 224),
    "ViT-S-32-alt": ("S-alt", 32, 224),
    "ViT-S-16": ("S", 16, 224),
    "ViT-S-16-alt": ("S-alt", 16, 224),
    "ViT-M-32": ("M", 32, 224),
    "ViT-M-32-alt": ("M-alt", 32, 224),
    "ViT-M-16": ("M", 16, 224),
    "ViT-B-32": ("B", 32, 224),
    "ViT-B-32-256": ("B", 32, 256),
    "ViT-B-32-plus-256": ("B-plus", 32, 256),
    "ViT-B-16": ("B", 16, 224),
    "ViT-B-16-plus": ("B-plus", 16, 224),
    "ViT-B-16-plus-240": ("B-plus", 16, 240),
    "ViT-L-16": ("L", 16, 224),
    "ViT-L-16-320": ("L", 16, 320),
    "ViT-L-14": ("L", 14, 224),
    "ViT-L-14-280": ("L", 14, 280),
    "ViT-L-14-336": ("L", 14, 336),
    "ViT-H-16": ("H", 16, 224),
    "ViT-H-14": ("H", 14, 224),
    "ViT-H-14-378": ("H", 14, 378),
    "ViT-g-14": ("g", 14, 224),
    "ViT-bigG-14": ("bigG", 14, 224),
    "ViT-e-14": ("e", 14, 224),
}
"""Size, side of a patch and side of the picture."""
_RESNETS = tuple(name for name in OPENAI_CONFIGS if name.startswith("RN"))
ARCHITECTURES = (*_TRANSFORMERS, *_RESNETS)
"""Each of them with '-quickgelu' behind it is one, too."""


def architecture(name: str) -> ModelConfig:
    """The towers that OpenCLIP 3.3.0 calls so. Raises CheckpointError, with the nearest names, where it knows none."""
    plain = name.removesuffix(_QUICK)
    if plain not in ARCHITECTURES:
        known = (*ARCHITECTURES, *(f"{known}{_QUICK}" for known in ARCHITECTURES))
        raise CheckpointError(
            f"{name!r} is no architecture: behind the colon goes OpenCLIP's name of one (ViT-B-32, RN50-quickgelu), a"
            f" JSON file with a config, or the folder that one lies in{suggestion(name.replace('/', '-'), known)}"
        )
    config = OPENAI_CONFIGS[plain] if plain in _RESNETS else _transformer(*_TRANSFORMERS[plain])
    if name.endswith(_QUICK):
        return config
    vision = config.vision
    if isinstance(vision, VisionTransformerConfig):
        vision = replace(vision, activation="gelu")
    return replace(config, vision=vision, text=replace(config.text, activation="gelu"))


def _transformer(size: str, patch_size: int, image_size: int) -> ModelConfig:
    width, layers, heads, mlp_width, text_width, text_layers = _SIZES[size]
    return ModelConfig(
        embed_dim=text_width,
        vision=VisionTransformerConfig(
            image_size=image_size, patch_size=patch_size, width=width, layers=layers, heads=heads, mlp_width=mlp_width
        ),
        text=TextTransformerConfig(
            context_length=77,
            vocab_size=49408,
            width=text_width,
            layers=text_layers,
            heads=text_width // 64,
            mlp_width=4 * text_width,
        ),
    )
