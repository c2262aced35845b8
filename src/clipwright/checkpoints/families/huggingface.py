"""Hugging Face's layout: config.json, preprocessor_config.json and tokenizer.json beside the tensors.

CLIPModel and SiglipModel are read (SigLIP 2 at a fixed resolution is saved as SiglipModel too).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from clipwright.checkpoints.checkpoint import Checkpoint, JoinedRows
from clipwright.errors import CheckpointError
from clipwright.inputs.input_spec import InputSpec
from clipwright.inputs.openai_vocabulary import OPENAI_VOCAB_SIZE, openai_tokenizer
from clipwright.model.config import Activation, ModelConfig, TextTransformerConfig, VisionTransformerConfig

CONFIG_FILE = "config.json"
PREPROCESSOR_FILE = "preprocessor_config.json"
ACTIVATIONS: dict[str, Activation] = {"quick_gelu": "quick_gelu", "gelu": "gelu", "gelu_pytorch_tanh": "gelu_tanh"}
_DEFAULTS: dict[str, dict[str, dict[str, Any]]] = {
    "clip": {
        "text_config": {
            "hidden_size": 512,
            "intermediate_size": 2048,
            "num_hidden_layers": 12,
            "num_attention_heads": 8,
            "max_position_embeddings": 77,
            "vocab_size": 49408,
            "hidden_act": "quick_gelu",
            "layer_norm_eps": 1e-5,
            "eos_token_id": 49407,
            "bos_token_id": 49406,
            "pad_token_id": 1,
        },
        "vision_config": {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "image_size": 224,
            "patch_size": 32,
            "hidden_act": "quick_gelu",
            "layer_norm_eps": 1e-5,
        },
    },
    "siglip": {
        "text_config": {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "max_position_embeddings": 64,
            "vocab_size": 32000,
            "hidden_act": "gelu_pytorch_tanh",
            "layer_norm_eps": 1e-6,
            "pad_token_id": 1,
            "eos_token_id": 49407,
        },
        "vision_config": {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "image_size": 224,
            "patch_size": 16,
            "hidden_act": "gelu_pytorch_tanh",
            "layer_norm_eps": 1e-6,
        },
    },
}
"""What a key that config.json leaves out means to transformers 5.23.0 (CLIPTextConfig and the like)."""
_HISTORICAL_EOS = 2
"""Early configs say this although texts end with the largest id; transformers then looks for that."""
_RENAMES = [
    (r"^text_model\.embeddings\.token_embedding\.", "text.token_embedding."),
    (r"^(text|vision)_model\.embeddings\.position_embedding\.weight$", r"\1.position_embedding"),
    (r"^(text|vision)_model\.encoder\.layers\.", r"\1.blocks."),
    (r"^text_model\.final_layer_norm\.", "text.output_norm."),
    (r"^text_projection\.", "text.projection."),
    (r"^text_model\.head\.", "text.projection."),
    (r"^vision_model\.embeddings\.", "vision."),
    (r"^vision_model\.pre_layrnorm\.", "vision.input_norm."),
    (r"^vision_model\.post_layernorm\.", "vision.output_norm."),
    (r"^visual_projection\.", "vision.projection."),
    (r"^vision_model\.head\.", "vision.head."),
    (r"\bhead\.layernorm\.", "head.norm."),
    (r"\bhead\.attention\.out_proj\.", "head.output."),
    (r"\blayer_norm1\.", "attention_norm."),
    (r"\blayer_norm2\.", "mlp_norm."),
    (r"\bself_attn\.out_proj\.", "attention.output."),
    (r"\bmlp\.fc1\.", "mlp.up."),
    (r"\bmlp\.fc2\.", "mlp.down."),
]
_QUERY = re.compile(r"(.*)\.self_attn\.q_proj\.(weight|bias)")
_THIRD = re.compile(r".*\.self_attn\.[kv]_proj\.(weight|bias)")


def read_huggingface(
    config: Mapping[str, Any],
    preprocessor: Mapping[str, Any] | None,
    tensors: Mapping[str, np.ndarray],
    tokenizer: str | None,
    tokenizer_config: Mapping[str, Any],
) -> Checkpoint:
    """The checkpoint of a folder's parsed files. tokenizer: the text of tokenizer.json, where there is one.

    Raises CheckpointError for models that are not built here, and where it is not stated how pictures are prepared.
    """
    kind = config.get("model_type")
    if kind not in _DEFAULTS:
        raise CheckpointError(f"{CONFIG_FILE} is of a {kind!r} model; clipwright reads {', '.join(_DEFAULTS)}")
    if preprocessor is None:
        raise CheckpointError(
            f"{PREPROCESSOR_FILE} is missing, so it is not stated how pictures are prepared; add it to the folder"
        )
    text, vision = (_DEFAULTS[kind][part] | _legacy(config, part) for part in ("text_config", "vision_config"))
    try:
        model = _read_clip(config, text, vision) if kind == "clip" else _read_siglip(text, vision)
        spec = _read_spec(preprocessor, model, text, tokenizer, tokenizer_config)
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{CONFIG_FILE} or {PREPROCESSOR_FILE} does not fit: {error!r}") from error
    if tokenizer is None and model.text.vocab_size == OPENAI_VOCAB_SIZE:
        tokenizer = openai_tokenizer()
    return Checkpoint(
        config=model,
        spec=spec,
        tokenizer=tokenizer,
        weights=_weights(tensors),
        provenance={"layout": "huggingface"},
    )


def _legacy(config: Mapping[str, Any], part: str) -> dict[str, Any]:
    """A tower's table. Early files repeat it as text_config_dict, which then counts."""
    table = dict(config.get(part) or {}) | dict(config.get(f"{part}_dict") or {})
    return {key: value for key, value in table.items() if value is not None}


def _activation(table: Mapping[str, Any]) -> Activation:
    name = table["hidden_act"]
    if name not in ACTIVATIONS:
        raise CheckpointError(f"{CONFIG_FILE}: the activation {name!r} is not known here")
    return ACTIVATIONS[name]


def _common(table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "width": table["hidden_size"],
        "layers": table["num_hidden_layers"],
        "heads": table["num_attention_heads"],
        "mlp_width": table["intermediate_size"],
        "activation": _activation(table),
        "epsilon": float(table["layer_norm_eps"]),
    }


def _read_clip(config: Mapping[str, Any], text: Mapping[str, Any], vision: Mapping[str, Any]) -> ModelConfig:
    return ModelConfig(
        embed_dim=config.get("projection_dim", 512),
        vision=VisionTransformerConfig(
            image_size=vision["image_size"], patch_size=vision["patch_size"], **_common(vision)
        ),
        text=TextTransformerConfig(
            context_length=text["max_position_embeddings"], vocab_size=text["vocab_size"], **_common(text)
        ),
    )


def _read_siglip(text: Mapping[str, Any], vision: Mapping[str, Any]) -> ModelConfig:
    if not vision.get("vision_use_head", True):
        raise CheckpointError(f"{CONFIG_FILE}: a SigLIP without its pooling head gives no features")
    width = vision["hidden_size"]
    if text.get("projection_size", text["hidden_size"]) != width:
        raise CheckpointError(f"{CONFIG_FILE}: the towers give {text['projection_size']} and {width} numbers")
    return ModelConfig(
        embed_dim=width,
        scores="sigmoid",
        vision=VisionTransformerConfig(
            image_size=vision["image_size"],
            patch_size=vision["patch_size"],
            pool="attention",
            patch_bias=True,
            input_norm=False,
            projection=False,
            **_common(vision),
        ),
        text=TextTransformerConfig(
            context_length=text["max_position_embeddings"],
            vocab_size=text["vocab_size"],
            causal=False,
            pool="last",
            projection_bias=True,
            **_common(text),
        ),
    )


def _read_spec(
    preprocessor: Mapping[str, Any],
    model: ModelConfig,
    text: Mapping[str, Any],
    tokenizer: str | None,
    tokenizer_config: Mapping[str, Any],
) -> InputSpec:
    size, image_size = preprocessor["size"], model.vision.image_size
    short = size if isinstance(size, int) else size.get("shortest_edge")
    squash = short is None
    cropped = preprocessor.get("crop_size", image_size) if not squash else size
    sides = {cropped} if isinstance(cropped, int) else {cropped["height"], cropped["width"]}
    if sides != {image_size} or short not in (None, image_size) or not preprocessor.get("do_resize", True):
        raise CheckpointError(f"{PREPROCESSOR_FILE} makes pictures of another size than the {image_size} of the tower")
    if not squash and not preprocessor.get("do_center_crop", True):
        raise CheckpointError(f"{PREPROCESSOR_FILE} leaves pictures longer than they are wide; the tower reads squares")
    if not math.isclose(preprocessor.get("rescale_factor", 1 / 255), 1 / 255, rel_tol=1e-6):
        raise CheckpointError(f"{PREPROCESSOR_FILE} scales by {preprocessor['rescale_factor']}; 1/255 is known here")
    filters = {2: "bilinear", 3: "bicubic"}
    if preprocessor.get("resample", 3) not in filters:
        raise CheckpointError(f"{PREPROCESSOR_FILE}: the filter {preprocessor['resample']} is not known here")
    start, end, pad = _special_ids(model, text, tokenizer, tokenizer_config)
    return InputSpec(
        image_size=image_size,
        resize="squash" if squash else "shortest",
        crop_rounding="floor",
        interpolation=filters[preprocessor.get("resample", 3)],  # type: ignore[arg-type]
        mean=tuple(map(float, preprocessor["image_mean"])),  # type: ignore[arg-type]
        std=tuple(map(float, preprocessor["image_std"])),  # type: ignore[arg-type]
        context_length=model.text.context_length,
        text_cleaning=_cleaning(model, tokenizer),
        padding="longest" if model.text.causal else "context",
        start_id=start,
        end_id=end,
        pad_id=pad,
    )


_SIGLIP_VOCAB_SIZE = 32000
"""Of SigLIP's first tokenizer, whose texts lose their punctuation before tokenizer.json sees them."""


def _cleaning(model: ModelConfig, tokenizer: str | None) -> Any:
    if model.text.causal:
        return "lower" if tokenizer is None else "none"  # tokenizer.json cleans by itself
    return "canonical" if model.text.vocab_size == _SIGLIP_VOCAB_SIZE else "none"


def _special_ids(
    model: ModelConfig, text: Mapping[str, Any], tokenizer: str | None, tokenizer_config: Mapping[str, Any]
) -> tuple[int | None, int, int]:
    """The ids of start, end and padding. What the tokenizer says of them counts more than the config."""
    ids = _token_ids(tokenizer)

    def look_up(key: str, default: int) -> int:
        token = tokenizer_config.get(key)
        token = token.get("content") if isinstance(token, Mapping) else token
        return ids.get(token, default) if isinstance(token, str) else default

    end, start = text["eos_token_id"], text.get("bos_token_id", 0)
    if model.text.causal and end == _HISTORICAL_EOS:
        end, start = model.text.vocab_size - 1, model.text.vocab_size - 2
    return (
        look_up("bos_token", start) if model.text.causal else None,
        look_up("eos_token", end),
        look_up("pad_token", text["pad_token_id"]),
    )


def _token_ids(tokenizer: str | None) -> dict[str, int]:
    if tokenizer is None:
        return {}
    try:
        return {token["content"]: token["id"] for token in json.loads(tokenizer).get("added_tokens", ())}
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"tokenizer.json cannot be read: {error!r}") from error


def _weights(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray | JoinedRows]:
    weights: dict[str, np.ndarray | JoinedRows] = {}
    for name, array in tensors.items():
        if name.endswith("position_ids") or _THIRD.fullmatch(name):
            continue
        query = _QUERY.fullmatch(name)
        if query is not None:
            parts = [f"{query[1]}.self_attn.{letter}_proj.{query[2]}" for letter in "qkv"]
            missing = [part for part in parts if part not in tensors]
            if not missing:
                weights[_rename(f"{query[1]}.attention.qkv.{query[2]}")] = JoinedRows([tensors[p] for p in parts])
        elif name.startswith("vision_model.head.attention.in_proj_"):
            part = name.rpartition("_")[2]
            for ours, third in zip(("query", "key", "value"), np.split(array, 3), strict=True):
                weights[f"vision.head.{ours}.{part}"] = third
        else:
            weights[_rename(name)] = array.reshape(-1) if name.endswith("head.probe") else array
    for name in ("logit_scale", "logit_bias"):
        if name in weights:
            weights[name] = np.asarray(weights[name]).reshape(())
    return weights


def _rename(name: str) -> str:
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    return name
