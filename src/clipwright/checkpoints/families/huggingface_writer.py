"""A checkpoint as a folder in Hugging Face's layout. What the layout cannot hold is refused by name."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from clipwright.atomic import replacing
from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.families.huggingface import ACTIVATIONS, CONFIG_FILE, PREPROCESSOR_FILE
from clipwright.errors import CheckpointError
from clipwright.inputs.input_spec import InputSpec
from clipwright.inputs.tokenizer import document_that_cleans
from clipwright.model.config import ModelConfig, TextTransformerConfig, VisionTransformerConfig

_RENAMES = [
    (r"^text\.token_embedding\.", "text_model.embeddings.token_embedding."),
    (r"^(text|vision)\.position_embedding$", r"\1_model.embeddings.position_embedding.weight"),
    (r"^(text|vision)\.blocks\.", r"\1_model.encoder.layers."),
    (r"^text\.output_norm\.", "text_model.final_layer_norm."),
    (r"^vision\.(patch|class)_embedding", r"vision_model.embeddings.\1_embedding"),
    (r"^vision\.input_norm\.", "vision_model.pre_layrnorm."),
    (r"^vision\.output_norm\.", "vision_model.post_layernorm."),
    (r"^vision\.projection\.", "visual_projection."),
    (r"\bhead\.norm\.", "head.layernorm."),
    (r"\bhead\.output\.", "head.attention.out_proj."),
    (r"^vision\.head\.", "vision_model.head."),
    (r"\battention_norm\.", "layer_norm1."),
    (r"\bmlp_norm\.", "layer_norm2."),
    (r"\blayers\.(\d+)\.attention\.", r"layers.\1.self_attn."),
    (r"\bself_attn\.output\.", "self_attn.out_proj."),
    (r"\bmlp\.up\.", "mlp.fc1."),
    (r"\bmlp\.down\.", "mlp.fc2."),
]
_FILTERS = {"bilinear": 2, "bicubic": 3}
logger = logging.getLogger(__name__)


def write_huggingface(checkpoint: Checkpoint, folder: Path) -> None:
    """Writes config.json, preprocessor_config.json, model.safetensors and the tokenizer into the folder.

    Raises CheckpointError naming what the layout cannot hold, before anything is written.
    """
    config, spec = checkpoint.config, checkpoint.spec
    if not isinstance(config.vision, VisionTransformerConfig):
        raise CheckpointError("Hugging Face's layout cannot hold a ResNet; OpenCLIP's can")
    table = _config_table(config, config.vision, spec)
    preprocessor = _preprocessor_table(spec)
    if spec.resize == "shortest" and spec.crop_rounding == "round":
        logger.warning("Hugging Face cuts some pictures one pixel further to the left or the top than this model does")
    tensors: dict[str, np.ndarray] = {}
    for name, weight in checkpoint.weights.items():
        tensors |= _renamed(name, np.asarray(weight, np.float32, order="C"), config.scores == "sigmoid")
    tensors |= _pooling_projection(checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "model.safetensors") as temporary:
        save_file(tensors, temporary, {"format": "pt"})
    files = {PREPROCESSOR_FILE: preprocessor, CONFIG_FILE: table}  # the config last: a folder with one is whole
    if checkpoint.tokenizer is not None:
        document, special = document_that_cleans(checkpoint.tokenizer, spec)
        with replacing(folder / "tokenizer.json") as temporary:
            temporary.write_text(document, encoding="utf-8")
        files = {"tokenizer_config.json": _tokenizer_table(spec, special)} | files
    for name, content in files.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")


def _refuse(unfit: bool, what: str) -> None:
    if unfit:
        raise CheckpointError(f"Hugging Face's layout cannot hold {what}")


def _config_table(config: ModelConfig, vision: VisionTransformerConfig, spec: InputSpec) -> dict[str, Any]:
    text = config.text
    siglip = config.scores == "sigmoid"
    as_siglip = (vision.pool, vision.patch_bias, vision.input_norm, vision.projection) == (
        "attention",
        True,
        False,
        False,
    )
    as_clip = (vision.pool, vision.patch_bias, vision.input_norm, vision.projection) == ("class", False, True, True)
    text_as_siglip = (text.causal, text.pool, text.projection_bias) == (False, "last", True)
    text_as_clip = (text.causal, text.pool, text.projection_bias) == (True, "end", False)
    _refuse(not (as_siglip if siglip else as_clip), "this vision transformer, neither CLIP's nor SigLIP's")
    _refuse(not (text_as_siglip if siglip else text_as_clip), "this text transformer, neither CLIP's nor SigLIP's")
    kind = "siglip" if siglip else "clip"
    table: dict[str, Any] = {
        "architectures": ["SiglipModel" if siglip else "CLIPModel"],
        "model_type": kind,
        "text_config": {
            "model_type": f"{kind}_text_model",
            "max_position_embeddings": text.context_length,
            "vocab_size": text.vocab_size,
            "bos_token_id": spec.start_id,
            "eos_token_id": spec.end_id,
            "pad_token_id": spec.pad_id,
            **_tower_table(text),
        },
        "vision_config": {
            "model_type": f"{kind}_vision_model",
            "image_size": vision.image_size,
            "patch_size": vision.patch_size,
            **_tower_table(vision),
        },
    }
    if siglip:
        table["text_config"]["projection_size"] = config.embed_dim
    else:
        for part in (table, table["text_config"], table["vision_config"]):
            part["projection_dim"] = config.embed_dim
    return table


def _tower_table(config: VisionTransformerConfig | TextTransformerConfig) -> dict[str, Any]:
    names = {ours: theirs for theirs, ours in ACTIVATIONS.items()}
    return {
        "hidden_size": config.width,
        "intermediate_size": config.mlp_width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "hidden_act": names[config.activation],
        "layer_norm_eps": config.epsilon,
    }


def _preprocessor_table(spec: InputSpec) -> dict[str, Any]:
    _refuse(spec.resize == "longest", "pictures whose longer side is made to fit")
    side = {"height": spec.image_size, "width": spec.image_size}
    sizes: dict[str, Any] = {"size": side}
    if spec.resize == "shortest":
        sizes = {"size": {"shortest_edge": spec.image_size}, "do_center_crop": True, "crop_size": side}
    return {
        "image_processor_type": "SiglipImageProcessor" if spec.resize == "squash" else "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        **sizes,
        "resample": _FILTERS[spec.interpolation],
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(spec.mean),
        "image_std": list(spec.std),
    }


def _tokenizer_table(spec: InputSpec, special: dict[str, str]) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": spec.context_length,
        "padding_side": spec.padding_side,
        "truncation_side": spec.truncation_side,
        **special,
    }


def _renamed(name: str, array: np.ndarray, siglip: bool) -> dict[str, np.ndarray]:
    """One weight under its names there: what is one matrix here may be three."""
    if re.match(r"vision\.head\.(query|key|value)\.", name):
        return {}  # joined by _pooling_projection
    if name.startswith("text.projection."):
        return {f"{'text_model.head' if siglip else 'text_projection'}.{name.rpartition('.')[2]}": array}
    if name in ("logit_scale", "logit_bias"):
        return {name: array.reshape(1) if siglip else array}
    if name == "vision.head.probe":
        return {"vision_model.head.probe": array.reshape(1, 1, -1)}
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    before, qkv, part = name.partition(".self_attn.qkv.")
    if not qkv:
        return {name: array}
    thirds = zip("qkv", np.split(array, 3), strict=True)
    return {f"{before}.self_attn.{letter}_proj.{part}": np.ascontiguousarray(third) for letter, third in thirds}


def _pooling_projection(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    """Query, key and value of SigLIP's pooling head, which torch's MultiheadAttention keeps in one."""
    if "vision.head.probe" not in checkpoint.weights:
        return {}
    joined = {}
    for part in ("weight", "bias"):
        parts = [
            np.asarray(checkpoint.weights[f"vision.head.{name}.{part}"], np.float32)
            for name in ("query", "key", "value")
        ]
        joined[f"vision_model.head.attention.in_proj_{part}"] = np.concatenate(parts)
    return joined
