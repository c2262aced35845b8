"""A checkpoint as a folder in OpenCLIP's layout. What the layout cannot hold is refused by name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from clipwright.atomic import replacing
from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.families.openclip_config import CONFIG_FILE
from clipwright.errors import CheckpointError
from clipwright.model.config import ModelConfig, ResNetConfig, TextTransformerConfig, VisionTransformerConfig

_STANDARD_EPSILON = 1e-5
_RENAMES: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    (r"^text\.(token_embedding\..*)", r"\1"),
    (r"^text\.position_embedding$", "positional_embedding"),
    (r"^text\.output_norm\.", "ln_final."),
    (r"^text\.projection\.weight$", "text_projection"),
    (r"^text\.blocks\.", "transformer.resblocks."),
    (r"^vision\.blocks\.", "visual.transformer.resblocks."),
    (r"^vision\.patch_embedding\.", "visual.conv1."),
    (r"^vision\.class_embedding$", "visual.class_embedding"),
    (r"^vision\.position_embedding$", "visual.positional_embedding"),
    (r"^vision\.input_norm\.", "visual.ln_pre."),
    (r"^vision\.output_norm\.", "visual.ln_post."),
    (r"^vision\.projection\.weight$", "visual.proj"),
    (r"^vision\.stem\.", "visual."),
    (r"^vision\.stages\.(\d)\.", lambda match: f"visual.layer{int(match[1]) + 1}."),
    (r"^vision\.pool\.position_embedding$", "visual.attnpool.positional_embedding"),
    (r"^vision\.pool\.query\.", "visual.attnpool.q_proj."),
    (r"^vision\.pool\.key\.", "visual.attnpool.k_proj."),
    (r"^vision\.pool\.value\.", "visual.attnpool.v_proj."),
    (r"^vision\.pool\.output\.", "visual.attnpool.c_proj."),
    (r"\battention_norm\.", "ln_1."),
    (r"\bmlp_norm\.", "ln_2."),
    (r"\battention\.qkv\.", "attn.in_proj_"),
    (r"\battention\.output\.", "attn.out_proj."),
    (r"\bmlp\.up\.", "mlp.c_fc."),
    (r"\bmlp\.down\.", "mlp.c_proj."),
    (r"\bdownsample\.conv\.", "downsample.0."),
    (r"\bdownsample\.norm\.", "downsample.1."),
    (r"\bnorm(\d)\.", r"bn\1."),
]
_TRANSPOSED = ("text_projection", "visual.proj")


def write_openclip(checkpoint: Checkpoint, folder: Path) -> None:
    """Writes open_clip_config.json, open_clip_model.safetensors and the tokenizer into the folder.

    Raises CheckpointError naming what OpenCLIP's layout cannot hold, before anything is written.
    """
    table = {"model_cfg": _model_table(checkpoint.config), "preprocess_cfg": _preprocess_table(checkpoint)}
    end, largest = checkpoint.spec.end_id, checkpoint.config.text.vocab_size - 1
    if end != largest:
        raise CheckpointError(
            f"in OpenCLIP's layout a text ends with the largest id that the tower knows, {largest}, and here with {end}"
            " (fewer words were learned than the tower has room for); --layout huggingface can say so"
        )
    _refuse(checkpoint.spec.truncation_side == "left", "texts that are cut at their start")
    tensors = {_rename(name): np.asarray(array) for name, array in checkpoint.weights.items()}
    tensors = {
        name: np.ascontiguousarray(array.T if name in _TRANSPOSED else array, np.float32).reshape(
            array.T.shape if name in _TRANSPOSED else array.shape
        )
        for name, array in tensors.items()
    }
    for name in [name for name in tensors if name.endswith("running_mean")]:
        tensors[name.replace("running_mean", "num_batches_tracked")] = np.zeros((), np.int64)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "open_clip_model.safetensors") as temporary:
        save_file(tensors, temporary, {"format": "pt"})
    if checkpoint.tokenizer is not None:
        with replacing(folder / "tokenizer.json") as temporary:
            temporary.write_text(checkpoint.tokenizer, encoding="utf-8")
    with replacing(folder / CONFIG_FILE) as temporary:  # the last: a folder with a config is whole
        temporary.write_text(json.dumps(table, indent=1), encoding="utf-8")


def _rename(name: str) -> str:
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    return name


def _refuse(unfit: bool, what: str) -> None:
    if unfit:
        raise CheckpointError(f"OpenCLIP's layout cannot hold {what}")


def _model_table(config: ModelConfig) -> dict[str, Any]:
    vision, text = config.vision, config.text
    _refuse(config.scores == "sigmoid", "a SigLIP here: its towers are timm's")
    activations = {text.activation}
    if isinstance(vision, VisionTransformerConfig):
        activations.add(vision.activation)
        _refuse(vision.pool != "class" or vision.patch_bias or not vision.projection, "this vision transformer")
    _refuse(len(activations) > 1, f"two activations ({' and '.join(sorted(activations))})")
    _refuse("gelu_tanh" in activations, "the activation gelu_tanh for both towers")
    _refuse(not text.causal or text.pool != "end" or text.projection_bias, "this text transformer")
    return {
        "embed_dim": config.embed_dim,
        "quick_gelu": text.activation == "quick_gelu",
        "vision_cfg": _resnet_table(vision) if isinstance(vision, ResNetConfig) else _vit_table(vision),
        "text_cfg": {
            "context_length": text.context_length,
            "vocab_size": text.vocab_size,
            "width": text.width,
            "heads": text.heads,
            "layers": text.layers,
            **_common(text),
        },
    }


def _common(config: VisionTransformerConfig | TextTransformerConfig) -> dict[str, Any]:
    ratio = config.mlp_width / config.width
    _refuse(int(config.width * ratio) != config.mlp_width, f"an MLP of {config.mlp_width}")
    table: dict[str, Any] = {"mlp_ratio": ratio}
    if config.epsilon != _STANDARD_EPSILON:
        table["norm_kwargs"] = {"eps": config.epsilon}
    return table


def _vit_table(config: VisionTransformerConfig) -> dict[str, Any]:
    return {
        "image_size": config.image_size,
        "layers": config.layers,
        "width": config.width,
        "head_width": config.width // config.heads,
        "patch_size": config.patch_size,
        **({} if config.input_norm else {"no_ln_pre": True}),
        **_common(config),
    }


def _resnet_table(config: ResNetConfig) -> dict[str, Any]:
    return {
        "image_size": config.image_size,
        "layers": list(config.stage_blocks),
        "width": config.width,
        "head_width": config.width * 32 // config.heads,
        "patch_size": None,
    }


def _preprocess_table(checkpoint: Checkpoint) -> dict[str, Any]:
    spec = checkpoint.spec
    return {
        "size": [spec.image_size, spec.image_size],
        "mode": "RGB",
        "mean": list(spec.mean),
        "std": list(spec.std),
        "interpolation": spec.interpolation,
        "resize_mode": spec.resize,
        "fill_color": list(spec.fill) if any(spec.fill) else 0,
    }
