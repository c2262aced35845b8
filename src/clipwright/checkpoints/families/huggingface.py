"""Hugging Face's layout: config.json, preprocessor_config.json and tokenizer.json beside the tensors.

CLIPModel and SiglipModel are read (SigLIP 2 at a fixed resolution is saved as SiglipModel too).
"""

from __future__ import annotations

import dataclasses
import logging
import math
import re
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from clipwright.checkpoints.checkpoint import Checkpoint, JoinedRows
from clipwright.checkpoints.families.description import Description
from clipwright.checkpoints.families.openai import scalars
from clipwright.checkpoints.families.special_tokens import tokenizer_kind, with_named_tokens
from clipwright.checkpoints.families.text_rules import read_text_rules
from clipwright.errors import CheckpointError
from clipwright.inputs.input_spec import InputSpec
from clipwright.inputs.openai_vocabulary import OPENAI_VOCAB_SIZE, openai_tokenizer
from clipwright.model.config import Activation, ModelConfig, TextTransformerConfig, VisionTransformerConfig

CONFIG_FILE = "config.json"
PREPROCESSOR_FILE = "preprocessor_config.json"
PROCESSOR_FILE = "processor_config.json"
"""Since transformers 5 the table of the former stands in this one, under 'image_processor'."""
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
_NOT_BUILT = {
    "siglip2": "towers that read pictures of any shape (NaFlex)",
    "metaclip_2": "multilingual text towers",
    "altclip": "multilingual text towers",
    "chinese_clip": "text towers of BERT's kind",
    "vision-text-dual-encoder": "text towers of BERT's kind",
    "jina_clip": "text towers of BERT's kind",
    "nomic_bert": "towers of BERT's kind",
    "align": "text towers of BERT's kind, nor EfficientNet",
    "blip": "towers of BLIP's kind",
    "blip-2": "towers of BLIP's kind",
    "blip_2_qformer": "towers of BLIP's kind",
    "clipseg": "decoder that marks regions of a picture (CLIPSeg)",
    "groupvit": "towers that group regions of a picture",
    "owlvit": "towers that find objects in a picture",
    "owlv2": "towers that find objects in a picture",
    "xclip": "towers that read videos",
    "clip_text_model": "models of a text tower alone",
    "clip_vision_model": "models of an image tower alone",
    "siglip_text_model": "models of a text tower alone",
    "siglip_vision_model": "models of an image tower alone",
}
"""Relatives that people may take for what is read here, by model_type."""
_IMAGE_PROCESSORS = re.compile(r"(CLIP|Siglip)(ImageProcessor|FeatureExtractor)(Fast|Pil)?")
_FILTERS: dict[int, Literal["bilinear", "bicubic"]] = {2: "bilinear", 3: "bicubic"}
logger = logging.getLogger(__name__)
_QUERY = re.compile(r"(.*)\.self_attn\.q_proj\.(weight|bias)")
_KEY_OR_VALUE = re.compile(r"(.*)\.self_attn\.[kv]_proj\.(weight|bias)")


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
    model, spec, tokenizer = _read_configs(config, preprocessor, tokenizer, tokenizer_config)
    _tell_of_activations(config)
    return Checkpoint(
        config=model,
        spec=spec,
        tokenizer=tokenizer,
        weights=own_names(tensors),
        provenance={"layout": "huggingface"},
    )


def describe_huggingface(
    config: Mapping[str, Any],
    preprocessor: Mapping[str, Any] | None,
    tokenizer: str | None,
    tokenizer_config: Mapping[str, Any],
) -> Description:
    """What a folder's parsed files say of a model whose towers are there as graphs. Raises as read_huggingface."""
    model, spec, tokenizer = _read_configs(config, preprocessor, tokenizer, tokenizer_config)
    return Description(
        spec=spec,
        tokenizer=tokenizer,
        embed_dim=model.embed_dim,
        vocab_size=model.text.vocab_size,
        scores=model.scores,
    )


def _read_configs(
    config: Mapping[str, Any],
    preprocessor: Mapping[str, Any] | None,
    tokenizer: str | None,
    tokenizer_config: Mapping[str, Any],
) -> tuple[ModelConfig, InputSpec, str | None]:
    """All but the weights. The tokenizer is OpenAI's where the folder has none and the vocabulary is that large."""
    check_kind(config)
    kind = config["model_type"]
    if preprocessor is None:
        raise CheckpointError(
            f"{PREPROCESSOR_FILE} is missing, and {PROCESSOR_FILE} with an image_processor too, so it is not stated how"
            " pictures are prepared; add one to the folder"
        )
    tokenizer = None if tokenizer is None else with_named_tokens(tokenizer, tokenizer_config)
    try:
        text, vision = (_tower(config, kind, part) for part in ("text_config", "vision_config"))
        model = _read_clip(config, text, vision) if kind == "clip" else _read_siglip(text, vision)
        spec = _read_spec(preprocessor, model, text, tokenizer, tokenizer_config)
    except (ValueError, TypeError, KeyError) as error:
        what = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise CheckpointError(f"{CONFIG_FILE} or {PREPROCESSOR_FILE} does not fit: {what}") from error
    if tokenizer is None and model.text.vocab_size == OPENAI_VOCAB_SIZE:
        if tokenizer_kind(tokenizer_config) not in ("", "CLIPTokenizer"):
            kind = tokenizer_config["tokenizer_class"]
            raise CheckpointError(f"tokenizer_config.json is of a {kind}, whose tokenizer.json is not there; add it")
        tokenizer = openai_tokenizer()
    return model, spec, tokenizer


def check_kind(config: Mapping[str, Any]) -> None:
    """Raises CheckpointError, saying what it is, where a config is of a model that is not built here."""
    kind = config.get("model_type")
    if isinstance(kind, str) and kind in _DEFAULTS:
        if config.get("auto_map"):
            logger.warning("%s names code of the repository's own (auto_map), which is not run", CONFIG_FILE)
        return
    if not isinstance(kind, str) and isinstance(config.get("architecture"), str):
        said = f"{CONFIG_FILE} is of timm's {config['architecture']!r}, an image tower alone"
    elif not isinstance(kind, str):
        said = f"{CONFIG_FILE} states no model_type; clipwright reads {' and '.join(_DEFAULTS)}"
    elif kind in _NOT_BUILT:
        said = f"{CONFIG_FILE} is of a {kind!r} model; clipwright has no {_NOT_BUILT[kind]}"
    else:
        said = f"{CONFIG_FILE} is of a {kind!r} model; clipwright reads {' and '.join(_DEFAULTS)}"
    if config.get("auto_map"):
        said += "; it needs the repository's own code (auto_map), and clipwright runs none"
    raise CheckpointError(said)


def _tower(config: Mapping[str, Any], kind: str, part: str) -> dict[str, Any]:
    """A tower's table, with what it leaves out at transformers' default.

    Early files of CLIP repeat it as text_config_dict, which counts more: what that one leaves out is at its default
    even where text_config says otherwise (CLIPConfig of transformers 5.23.0).
    """
    defaults, table = _DEFAULTS[kind][part], _stated(config, part)
    if kind == "clip" and config.get(f"{part}_dict") is not None:
        table |= defaults | _stated(config, f"{part}_dict")
    return defaults | table


def _tell_of_activations(config: Mapping[str, Any]) -> None:
    """Warns where a config of CLIP states a tower's activation twice, or not at all."""
    for part in ("text_config", "vision_config") if config["model_type"] == "clip" else ():
        stated, taken = _stated(config, part), _tower(config, "clip", part)["hidden_act"]
        told = f"{part}.hidden_act"
        if config.get(f"{part}_dict") is None:
            if "hidden_act" not in stated:
                logger.warning("%s does not state %s; %r is taken, as transformers does", CONFIG_FILE, told, taken)
        elif stated.get("hidden_act", taken) != taken:
            said = stated["hidden_act"]
            logger.warning("%s says %r, but %s_dict, which counts more, %r", told, said, part, taken)


def _stated(config: Mapping[str, Any], part: str) -> dict[str, Any]:
    table = config.get(part) or {}
    if not isinstance(table, Mapping):
        raise CheckpointError(f"{CONFIG_FILE}: {part} is no table")
    return {key: value for key, value in table.items() if value is not None}


def _activation(table: Mapping[str, Any]) -> Activation:
    name = table["hidden_act"]
    if name not in ACTIVATIONS:
        raise CheckpointError(f"{CONFIG_FILE}: the activation {name!r} is not known here")
    return ACTIVATIONS[name]


def _side(table: Mapping[str, Any], key: str) -> int:
    """The side of a square, which may be given as one number or as two."""
    value = table[key]
    if isinstance(value, list) and len(value) == 2 and value[0] == value[1]:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int):
        raise CheckpointError(f"{CONFIG_FILE}: vision_config.{key} is {value!r}; clipwright's towers read squares")
    return value


def _common(table: Mapping[str, Any]) -> dict[str, Any]:
    for key in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"):
        if isinstance(table[key], bool) or not isinstance(table[key], int):
            raise CheckpointError(f"{CONFIG_FILE}: {key} must be a whole number, not {table[key]!r}")
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
            image_size=_side(vision, "image_size"), patch_size=_side(vision, "patch_size"), **_common(vision)
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
            image_size=_side(vision, "image_size"),
            patch_size=_side(vision, "patch_size"),
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
    processor = preprocessor.get("image_processor_type") or preprocessor.get("feature_extractor_type")
    if processor is not None and not _IMAGE_PROCESSORS.fullmatch(str(processor)):
        raise CheckpointError(f"{PREPROCESSOR_FILE} is of a {processor!r}, which is not known here")
    resample = preprocessor.get("resample")
    if resample is None:
        logger.warning("%s does not state resample; bicubic is taken, as transformers does", PREPROCESSOR_FILE)
    elif resample not in _FILTERS:
        raise CheckpointError(f"{PREPROCESSOR_FILE}: the filter {resample} is not known here")
    if not preprocessor.get("do_rescale", True):
        raise CheckpointError(f"{PREPROCESSOR_FILE} leaves pixels at 0 to 255; clipwright scales them by 1/255")
    if not math.isclose(preprocessor.get("rescale_factor", 1 / 255), 1 / 255, rel_tol=1e-6):
        raise CheckpointError(f"{PREPROCESSOR_FILE} scales by {preprocessor['rescale_factor']}; 1/255 is known here")
    normalised = preprocessor.get("do_normalize", True)
    return InputSpec(
        image_size=model.vision.image_size,
        resize=_resize(preprocessor, model.vision.image_size, str(processor)),
        crop_rounding="floor",
        interpolation=_FILTERS[3 if resample is None else resample],
        mean=_channels(preprocessor, "image_mean") if normalised else (0.0, 0.0, 0.0),
        std=_channels(preprocessor, "image_std") if normalised else (1.0, 1.0, 1.0),
        **dataclasses.asdict(read_text_rules(model, text, tokenizer, tokenizer_config)),
    )


def _resize(preprocessor: Mapping[str, Any], image_size: int, processor: str) -> Literal["squash", "shortest"]:
    """How pictures become squares of image_size. Early files give sizes as one number, later ones as tables."""
    size = preprocessor.get("size")
    if not isinstance(size, int | Mapping) or not preprocessor.get("do_resize", True):
        raise CheckpointError(f"{PREPROCESSOR_FILE} does not say to which size pictures are brought")
    short = size if isinstance(size, int) else size.get("shortest_edge")
    crops = preprocessor.get("do_center_crop", not processor.startswith("Siglip"))
    if short is not None and not crops:
        raise CheckpointError(f"{PREPROCESSOR_FILE} leaves pictures longer than they are wide; the tower reads squares")
    square = size if short is None else preprocessor.get("crop_size", short)
    sides = {square} if isinstance(square, int) else {square.get("height"), square.get("width")}
    if sides != {image_size} or short not in (None, image_size):
        raise CheckpointError(
            f"{PREPROCESSOR_FILE} makes pictures of another size ({size}) than the {image_size} of the tower"
        )
    return "squash" if short is None else "shortest"


def _channels(preprocessor: Mapping[str, Any], key: str) -> tuple[float, float, float]:
    values = preprocessor.get(key)
    if values is None:
        raise CheckpointError(f"{PREPROCESSOR_FILE} does not state {key}; add it")
    if not isinstance(values, list) or len(values) != 3 or not all(isinstance(value, int | float) for value in values):
        raise CheckpointError(f"{PREPROCESSOR_FILE}: {key} must be three numbers, not {values!r}")
    return float(values[0]), float(values[1]), float(values[2])


def is_huggingface(tensors: Mapping[str, np.ndarray]) -> bool:
    """Whether these are the tensors of both towers in Hugging Face's names."""
    return all(any(name.startswith(f"{tower}_model.") for name in tensors) for tower in ("vision", "text"))


def own_names(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray | JoinedRows]:
    """The weights under clipwright's names. A name that is not known stays as it is, to be refused by it later."""
    weights: dict[str, np.ndarray | JoinedRows] = {}
    for name, array in tensors.items():
        query, other = _QUERY.fullmatch(name), _KEY_OR_VALUE.fullmatch(name)
        if name.endswith("position_ids") or (other and f"{other[1]}.self_attn.q_proj.{other[2]}" in tensors):
            continue  # the latter are joined to their query
        if query is not None:
            parts = [f"{query[1]}.self_attn.{letter}_proj.{query[2]}" for letter in "qkv"]
            if all(part in tensors for part in parts):
                weights[_rename(f"{query[1]}.attention.qkv.{query[2]}")] = _joined(parts, tensors)
        elif name.startswith("vision_model.head.attention.in_proj_") and array.shape[0] % 3 == 0:
            part = name.rpartition("_")[2]
            for ours, third in zip(("query", "key", "value"), np.split(array, 3), strict=True):
                weights[f"vision.head.{ours}.{part}"] = third
        else:
            weights[_rename(name)] = array.reshape(-1) if name.endswith("head.probe") else array
    return weights | scalars(weights)


def _joined(parts: list[str], tensors: Mapping[str, np.ndarray]) -> JoinedRows:
    if len({tensors[part].shape for part in parts}) > 1:
        shapes = ", ".join(f"{part} {tensors[part].shape}" for part in parts)
        raise CheckpointError(f"the weights do not fit their config: these should have one shape: {shapes}")
    return JoinedRows([tensors[part] for part in parts])


def _rename(name: str) -> str:
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    return name
