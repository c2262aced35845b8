"""The nine models that OpenAI published, as configs (Radford et al. 2021, tables 19 and 20)."""

from __future__ import annotations

from clipwright.model.config import ModelConfig, ResNetConfig, TextTransformerConfig, VisionTransformerConfig


def _text(width: int) -> TextTransformerConfig:
    return TextTransformerConfig(
        context_length=77, vocab_size=49408, width=width, layers=12, heads=width // 64, mlp_width=4 * width
    )


def _resnet(
    embed_dim: int, image_size: int, width: int, stage_blocks: tuple[int, int, int, int], text_width: int
) -> ModelConfig:
    vision = ResNetConfig(image_size=image_size, width=width, stage_blocks=stage_blocks, heads=width // 2)
    return ModelConfig(embed_dim=embed_dim, vision=vision, text=_text(text_width))


def _vit(embed_dim: int, image_size: int, patch_size: int, width: int, layers: int, text_width: int) -> ModelConfig:
    vision = VisionTransformerConfig(
        image_size=image_size,
        patch_size=patch_size,
        width=width,
        layers=layers,
        heads=width // 64,
        mlp_width=4 * width,
    )
    return ModelConfig(embed_dim=embed_dim, vision=vision, text=_text(text_width))


OPENAI_CONFIGS: dict[str, ModelConfig] = {
    "RN50": _resnet(1024, 224, 64, (3, 4, 6, 3), 512),
    "RN101": _resnet(512, 224, 64, (3, 4, 23, 3), 512),
    "RN50x4": _resnet(640, 288, 80, (4, 6, 10, 6), 640),
    "RN50x16": _resnet(768, 384, 96, (6, 8, 18, 8), 768),
    "RN50x64": _resnet(1024, 448, 128, (3, 15, 36, 10), 1024),
    "ViT-B/32": _vit(512, 224, 32, 768, 12, 512),
    "ViT-B/16": _vit(512, 224, 16, 768, 12, 512),
    "ViT-L/14": _vit(768, 224, 14, 1024, 24, 768),
    "ViT-L/14@336px": _vit(768, 336, 14, 1024, 24, 768),
}
