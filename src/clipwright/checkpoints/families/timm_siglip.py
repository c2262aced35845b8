"""SigLIP's image towers as timm names them, in OpenCLIP's layout."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from clipwright.checkpoints.families.openclip_config import CONFIG_FILE, ConfigTable
from clipwright.errors import CheckpointError
from clipwright.model.config import VisionTransformerConfig

_TIMM_NAME = re.compile(r"vit_(base|large|so400m|giantopt)_patch\d+_siglip_\d+")
TIMM_HEADS = {"base": 12, "large": 16, "so400m": 16, "giantopt": 16}
"""Attention heads of timm's SigLIP towers, which shapes do not show (timm 1.0.31, vision_transformer.py)."""
_TIMM_TANH = re.compile(r"vit_(base_patch32_siglip_256|large_patch16_siglip_512|so400m_patch16_.*|giantopt_.*)")
"""timm's SigLIP towers with gelu_tanh; the others have the exact GELU."""
_TIMM_RENAMES = [
    (r"visual\.trunk\.", "vision."),
    (r"patch_embed\.proj\.", "patch_embedding."),
    (r"vision\.pos_embed$", "vision.position_embedding"),
    (r"vision\.norm\.", "vision.output_norm."),
    (r"\bnorm1\.", "attention_norm."),
    (r"\bnorm2\.", "mlp_norm."),
    (r"\battn\.qkv\.", "attention.qkv."),
    (r"\battn\.proj\.", "attention.output."),
    (r"mlp\.fc1\.", "mlp.up."),
    (r"mlp\.fc2\.", "mlp.down."),
    (r"\battn_pool\.latent$", "head.probe"),
    (r"\battn_pool\.q\.", "head.query."),
    (r"\battn_pool\.proj\.", "head.output."),
    (r"\battn_pool\.", "head."),
]


def read_timm_tower(table: ConfigTable, name: str, tensors: Mapping[str, np.ndarray]) -> VisionTransformerConfig:
    """The tower that timm calls so; what its name does not say is read off the tensors."""
    match = _TIMM_NAME.fullmatch(name)
    if match is None:
        raise CheckpointError(f"{CONFIG_FILE}: clipwright has no tower {name!r} of timm; only SigLIP's are built here")
    table.refuse("timm_pool", "map", "such pooling")
    table.refuse("timm_proj", "none", "such a projection")
    image_size = table.side("image_size", 224)
    table.finish()
    for needed in ("visual.trunk.patch_embed.proj.weight", "visual.trunk.blocks.0.mlp.fc1.weight"):
        if needed not in tensors:
            raise CheckpointError(f"the weights do not fit their config: {needed} is missing, which tells sizes")
    width, _, patch_size, _ = tensors["visual.trunk.patch_embed.proj.weight"].shape
    blocks = (re.match(r"visual\.trunk\.blocks\.(\d+)\.", name) for name in tensors)
    return VisionTransformerConfig(
        image_size=image_size,
        patch_size=patch_size,
        width=width,
        layers=1 + max(int(match[1]) for match in blocks if match),
        heads=TIMM_HEADS[match[1]],
        mlp_width=tensors["visual.trunk.blocks.0.mlp.fc1.weight"].shape[0],
        activation="gelu_tanh" if _TIMM_TANH.fullmatch(name) else "gelu",
        epsilon=1e-6,
        pool="attention",
        patch_bias=True,
        input_norm=False,
        projection=False,
    )


def rename_timm(name: str, array: np.ndarray) -> dict[str, np.ndarray]:
    """One tensor under clipwright's names: several where timm keeps as one what is apart here."""
    for pattern, replacement in _TIMM_RENAMES:
        name = re.sub(pattern, replacement, name)
    if name.startswith("vision.head.kv.") and array.shape[0] % 2 == 0:
        part = name.rpartition(".")[2]
        return dict(zip((f"vision.head.key.{part}", f"vision.head.value.{part}"), np.split(array, 2), strict=True))
    axes = {"vision.position_embedding": 2, "vision.head.probe": 1}.get(name, array.ndim)
    while array.ndim > axes and array.shape[0] == 1:
        array = array[0]
    return {name: array}
