"""OpenCLIP's layout: open_clip_config.json beside the tensors, which have OpenAI's names or timm's.

Every key of the config either decides something here, is known to change nothing at inference, or is refused.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from clipwright.checkpoints.checkpoint import Checkpoint, JoinedRows
from clipwright.checkpoints.families.description import Description
from clipwright.checkpoints.families.openai import rename, scalars
from clipwright.checkpoints.families.openclip_config import CONFIG_FILE, ConfigTable
from clipwright.checkpoints.families.special_tokens import sides, special_ids, tokenizer_kind, with_named_tokens
from clipwright.checkpoints.families.text_rules import Frame, TextRules, text_frame, text_sides
from clipwright.checkpoints.families.timm_siglip import read_timm_tower, rename_timm
from clipwright.errors import CheckpointError, TokenizerError
from clipwright.inputs.input_spec import OPENAI_MEAN, OPENAI_STD, InputSpec, TextCleaning
from clipwright.inputs.openai_vocabulary import OPENAI_VOCAB_SIZE, has_openai_vocabulary, openai_tokenizer
from clipwright.inputs.tokenizer import end_ids, framing_ids
from clipwright.model.config import (
    Activation,
    ModelConfig,
    ResNetConfig,
    TextTransformerConfig,
    VisionConfig,
    VisionTransformerConfig,
)

_SIGLIP_PADS = {32_000: 1, 250_000: 1, 256_000: 0}
"""What pads a text, by the size of SigLIP's vocabulary: the first two have no id of their own for it; the end pads."""
_SIGLIP_END = 1
_CLEANINGS: dict[str, TextCleaning] = {
    "lower": "lower",
    "whitespace": "mended",
    "canonicalize": "mended_canonical",
}
"""What OpenCLIP calls the ways of cleaning a text."""
logger = logging.getLogger(__name__)


def read_openclip(
    config: object,
    tensors: Mapping[str, np.ndarray],
    tokenizer: str | None,
    tokenizer_config: Mapping[str, Any],
) -> Checkpoint:
    """The checkpoint of a parsed open_clip_config.json and its tensors.

    tokenizer: the text of the tokenizer.json beside them, where there is one. Raises CheckpointError for towers that
    are not built here, and for settings that are not known.
    """
    root = ConfigTable(config, "the file")
    top = ConfigTable(root.get("model_cfg", None), "model_cfg")
    preprocess = ConfigTable(root.get("preprocess_cfg", {}), "preprocess_cfg")
    try:
        model, text = _read_model(top, tensors)
        tokenizer, rules = _text_rules(text, tokenizer, tokenizer_config)
        spec = _read_spec(preprocess, model.vision.image_size, rules)
    except (ValueError, TypeError, KeyError, ZeroDivisionError) as error:
        raise CheckpointError(f"{CONFIG_FILE} does not fit: {error}") from error
    return Checkpoint(
        config=model,
        spec=spec,
        tokenizer=tokenizer,
        weights=_weights(tensors, model, text.projected),
        provenance={"layout": "openclip"},
    )


def describe_openclip(
    model_cfg: object,
    preprocess_cfg: object,
    tokenizer: str | None,
    tokenizer_config: Mapping[str, Any],
    files: tuple[str, str],
) -> Description:
    """What the configs say of a model whose towers need not be built here, as graphs of them are there already.

    files: how the two configs are called in errors. Raises CheckpointError where they do not say how pictures and texts
    are prepared, or in a way that is not known here.
    """
    config_file, preprocess_file = files
    top, pictures = (
        ConfigTable(model_cfg, "model_cfg", config_file),
        ConfigTable(preprocess_cfg, "preprocess_cfg", preprocess_file),
    )
    try:
        embed_dim = top.whole("embed_dim")
        image_size = ConfigTable(top.get("vision_cfg", None), "vision_cfg", config_file).side("image_size", 224)
        if pictures.side("size", image_size) != image_size:
            raise CheckpointError(
                f"{preprocess_file} makes pictures of {pictures.side('size', image_size)} px, but vision_cfg of"
                f" {config_file} reads {image_size}"
            )
        texts = ConfigTable(top.get("text_cfg", None), "text_cfg", config_file)
        vocab_size = None
        if texts.get("hf_model_name", ""):
            rules = _foreign_text_rules(texts, tokenizer, tokenizer_config)
        else:
            text = _read_text(texts, "gelu", embed_dim)  # whichever activation it has, the graph computes it
            tokenizer, rules = _text_rules(text, tokenizer, tokenizer_config)
            vocab_size = text.config.vocab_size
        return Description(
            spec=_read_spec(pictures, image_size, rules),
            tokenizer=tokenizer,
            embed_dim=embed_dim,
            vocab_size=vocab_size,
            scores="softmax" if top.get("init_logit_bias", None) is None else "sigmoid",
        )
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{config_file} or {preprocess_file} does not fit: {error}") from error


@dataclass(frozen=True)
class _TextPart:
    """What text_cfg says."""

    config: TextTransformerConfig
    tokenizer: str | None
    """The name of a tokenizer of transformers; None: OpenCLIP's own, which is OpenAI's."""
    cleaning: TextCleaning
    projected: bool
    """Whether there is a projection; if not, it is as if by a matrix that changes nothing."""


def _read_tokenizer(table: ConfigTable) -> tuple[str | None, TextCleaning]:
    name = table.get("hf_tokenizer_name", "") or None
    table.refuse("tokenizer_mode", "", "such a way of encoding texts")
    options = ConfigTable(table.get("tokenizer_kwargs", {}), "text_cfg.tokenizer_kwargs", table.file)
    cleaning = options.get("clean", "whitespace" if name else "lower")
    options.finish()
    if cleaning not in _CLEANINGS:
        raise CheckpointError(f"{table.file}: texts cleaned as {cleaning!r} are not known here")
    return name, _CLEANINGS[cleaning]


def _openai_or_own(tokenizer: str | None, text: _TextPart) -> tuple[str, _TextPart]:
    """The document that OpenCLIP would use for a text tower with as many ids as OpenAI's.

    Without a name it takes OpenAI's, whatever tokenizer.json lies there: often a copy with the cleaning of another
    library. One with other symbols can only be meant, since its ids mean nothing in OpenAI's.
    """
    if tokenizer is not None and (text.tokenizer is not None or not has_openai_vocabulary(tokenizer)):
        return tokenizer, text
    if text.tokenizer is not None:
        logger.warning("%s names the tokenizer %r, which is not there; OpenAI's is taken", CONFIG_FILE, text.tokenizer)
        text = dataclasses.replace(text, tokenizer=None, cleaning="lower")
    return openai_tokenizer(), text


def _read_model(top: ConfigTable, tensors: Mapping[str, np.ndarray]) -> tuple[ModelConfig, _TextPart]:
    embed_dim = top.whole("embed_dim")
    activation: Activation = "quick_gelu" if top.get("quick_gelu", False) else "gelu"
    top.refuse("multimodal_cfg", {}, "captioning towers (CoCa)")
    top.get("custom_text", False)
    top.get("init_logit_scale", 0)
    top.get("nonscalar_logit_scale", False)
    biased = top.get("init_logit_bias", None) is not None
    text_table = ConfigTable(top.get("text_cfg", None), "text_cfg")
    text_table.refuse("hf_model_name", "", "text tower of that kind; multilingual towers are not built here")
    vision = _read_vision(ConfigTable(top.get("vision_cfg", None), "vision_cfg"), activation, tensors)
    text = _read_text(text_table, activation, embed_dim)
    top.finish()
    scores: Literal["sigmoid", "softmax"] = "sigmoid" if biased else "softmax"
    return ModelConfig(embed_dim=embed_dim, vision=vision, text=text.config, scores=scores), text


def _refuse_custom_blocks(table: ConfigTable) -> None:
    table.refuse("ls_init_value", 0, "layer scale")
    for key in ("qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc"):
        table.refuse(key, False, "such attention blocks")


def _read_vision(table: ConfigTable, activation: Activation, tensors: Mapping[str, np.ndarray]) -> VisionConfig:
    name = table.get("timm_model_name", "")
    if name:
        return read_timm_tower(table, name, tensors)
    _refuse_custom_blocks(table)
    table.refuse("attentional_pool", False, "attentional pooler (CoCa)")
    table.refuse("pool_type", "tok", "such pooling")
    table.refuse("final_ln_after_pool", False, "LayerNorm after the pooling")
    table.refuse("pos_embed_type", "learnable", "such embeddings of position")
    image_size, width, head_width = (
        table.side("image_size", 224),
        table.whole("width", 768),
        table.whole("head_width", 64),
    )
    patch_size, mlp_ratio = table.side("patch_size", 16), table.number("mlp_ratio", 4.0)
    no_norm = table.get("no_ln_pre", False)
    epsilon, activation = _kwargs(table, activation)
    layers = table.get("layers", 12)
    if isinstance(layers, list):
        table.finish()
        if len(layers) != 4 or not all(isinstance(count, int) for count in layers):
            raise CheckpointError(
                f"{CONFIG_FILE}: vision_cfg.layers of a ResNet must be four whole numbers, not {layers}"
            )
        first, second, third, fourth = layers
        heads = width * 32 // head_width
        return ResNetConfig(
            image_size=image_size, width=width, stage_blocks=(first, second, third, fourth), heads=heads
        )
    layers = table.whole("layers", 12)
    table.finish()
    return VisionTransformerConfig(
        image_size=image_size,
        patch_size=patch_size,
        width=width,
        layers=layers,
        heads=width // head_width,
        mlp_width=int(width * mlp_ratio),
        activation=activation,
        epsilon=epsilon,
        input_norm=not no_norm,
    )


def _kwargs(table: ConfigTable, activation: Activation) -> tuple[float, Activation]:
    """The LayerNorms' epsilon and the activation that norm_kwargs and act_kwargs ask for."""
    norm = ConfigTable(table.get("norm_kwargs", {}), "norm_kwargs", table.file)
    act = ConfigTable(table.get("act_kwargs", {}), "act_kwargs", table.file)
    epsilon = float(norm.get("eps", 1e-5))
    approximate = act.get("approximate", "none")
    norm.finish()
    act.finish()
    if approximate not in ("none", "tanh"):
        raise CheckpointError(f"{table.file}: GELU approximated by {approximate!r} is not known here")
    return epsilon, "gelu_tanh" if approximate == "tanh" else activation


def _read_text(table: ConfigTable, activation: Activation, embed_dim: int) -> _TextPart:
    _refuse_custom_blocks(table)
    table.refuse("embed_cls", False, "class token in texts (CoCa)")
    table.refuse("final_ln_after_pool", False, "LayerNorm after the pooling")
    projected = table.get("proj_type", "linear") != "none"
    if projected:
        table.refuse("proj_type", "linear", "such a projection")
    for ignored in ("pad_id", "eos_id"):  # used with pool_type eos only, which is refused
        table.get(ignored, 0)
    pool = table.get("pool_type", "argmax")
    if pool not in ("argmax", "last"):
        lacking = "multilingual text towers" if pool == "eos" else "such pooling"
        raise CheckpointError(f"{table.file}: text_cfg.pool_type is {pool!r}; clipwright has no {lacking}")
    tokenizer, cleaning = _read_tokenizer(table)
    width = table.whole("width", 512)
    epsilon, activation = _kwargs(table, activation)
    text = TextTransformerConfig(
        context_length=table.whole("context_length", 77),
        vocab_size=table.whole("vocab_size", OPENAI_VOCAB_SIZE),
        width=width,
        layers=table.whole("layers", 12),
        heads=table.whole("heads", 8),
        mlp_width=int(width * table.number("mlp_ratio", 4.0)),
        activation=activation,
        epsilon=epsilon,
        causal=not table.get("no_causal_mask", False),
        pool="last" if pool == "last" else "end",
        projection_bias=bool(table.get("proj_bias", False)) and projected,
    )
    table.finish()
    if not projected and width != embed_dim:
        raise CheckpointError(f"{table.file}: without a projection, text_cfg.width {width} must be {embed_dim}")
    return _TextPart(text, tokenizer, cleaning, projected)


def _text_rules(
    text: _TextPart, tokenizer: str | None, tokenizer_config: Mapping[str, Any]
) -> tuple[str | None, TextRules]:
    """The tokenizer of a text tower of CLIP's or SigLIP's kind, and how it is used."""
    if text.config.vocab_size == OPENAI_VOCAB_SIZE:
        tokenizer, text = _openai_or_own(tokenizer, text)
    if tokenizer is None or tokenizer == openai_tokenizer():
        tokenizer_config = {}  # OpenCLIP's own tokenizer has no settings
    else:
        tokenizer = with_named_tokens(tokenizer, tokenizer_config)
    frame = _frame(text.config, tokenizer, tokenizer_config)
    padding_side, truncation_side = text_sides(text.config, tokenizer, tokenizer_config)
    return tokenizer, TextRules(
        context_length=text.config.context_length,
        text_cleaning=text.cleaning,
        padding="longest" if text.config.causal and text.config.pool == "end" else "context",
        padding_side=padding_side,
        truncation_side=truncation_side,
        **dataclasses.asdict(frame),
    )


def _foreign_text_rules(table: ConfigTable, tokenizer: str | None, tokenizer_config: Mapping[str, Any]) -> TextRules:
    """How texts are prepared for a tower from transformers: as its own tokenizer does it.

    Such towers do not see what pads a text: OpenCLIP masks it (HFTextEncoder of open_clip 3.3.0).
    """
    kind = table.get("hf_model_name", "")
    if tokenizer is None:
        raise CheckpointError(f"the text tower {kind!r} needs its own tokenizer.json, which is not there")
    pad = special_ids(tokenizer, tokenizer_config).get("pad_token")
    if pad is None:
        raise CheckpointError(f"tokenizer_config.json does not say which token of {kind!r} pads a text")
    try:
        start, end = framing_ids(tokenizer)
    except TokenizerError as error:
        raise CheckpointError(f"texts cannot be prepared for the text tower {kind!r}: {error}") from error
    _, cleaning = _read_tokenizer(table)
    padding_side, truncation_side = sides(tokenizer, tokenizer_config)
    if padding_side == "left":
        raise CheckpointError(
            f"texts are padded on the left, which is not read for a text tower like {kind!r}; set padding_side to"
            " 'right' in tokenizer_config.json, for it does not see its padding"
        )
    if "nllb" in str(kind).lower():
        logger.warning("%r is told the language of a text; it is told the one in tokenizer.json, for all texts", kind)
    return TextRules(
        context_length=table.whole("context_length", 77),
        text_cleaning=cleaning,
        padding="longest",
        padding_side=padding_side,
        truncation_side=truncation_side,
        start_id=start,
        end_id=end,
        pad_id=pad,
    )


def _read_spec(table: ConfigTable, image_size: int, texts: TextRules) -> InputSpec:
    for ignored in ("size", "mode"):
        table.get(ignored, None)
    for key in ("mean", "std"):
        if not table.states(key):
            logger.warning("%s does not state preprocess_cfg.%s; OpenAI's is taken, as OpenCLIP does", table.file, key)
    interpolation, resize = table.get("interpolation", "bicubic"), table.get("resize_mode", "shortest")
    if interpolation not in ("bicubic", "bilinear") or resize not in ("shortest", "squash", "longest"):
        raise CheckpointError(f"{table.file}: pictures resized {interpolation} and {resize} are not known here")
    fill = table.get("fill_color", 0)
    spec = InputSpec(
        image_size=image_size,
        resize=resize,
        interpolation=interpolation,
        fill=(fill, fill, fill) if isinstance(fill, int) else tuple(fill),
        mean=table.channels("mean", OPENAI_MEAN),
        std=table.channels("std", OPENAI_STD),
        **dataclasses.asdict(texts),
    )
    table.finish()
    return spec


def _frame(text: TextTransformerConfig, tokenizer: str | None, tokenizer_config: Mapping[str, Any]) -> Frame:
    vocab_size = text.vocab_size
    if text.pool == "end":  # read at the largest id
        if tokenizer is not None:
            _check_ends(tokenizer, vocab_size)
        return Frame(start_id=vocab_size - 2, end_id=vocab_size - 1, pad_id=0)
    told = special_ids(tokenizer, tokenizer_config)
    pad = told.get("pad_token", _SIGLIP_PADS.get(vocab_size))
    if pad is None and tokenizer is not None:
        raise CheckpointError(
            f"tokenizer_config.json does not say which token pads a text, and a vocabulary of {vocab_size} is not known"
        )
    usual = Frame(start_id=None, end_id=told.get("eos_token", _SIGLIP_END), pad_id=pad or 0)
    return usual if tokenizer is None else text_frame(text, tokenizer, tokenizer_kind(tokenizer_config), usual)


def _check_ends(tokenizer: str, vocab_size: int) -> None:
    try:
        ends = end_ids(tokenizer)
    except TokenizerError as error:
        raise CheckpointError(f"tokenizer.json does not fit: {error}") from error
    if ends != (vocab_size - 2, vocab_size - 1):
        raise CheckpointError(
            f"tokenizer.json starts and ends texts with the ids {ends[0]} and {ends[1]}, but the text tower reads at"
            f" the largest id, {vocab_size - 1}"
        )


def _weights(
    tensors: Mapping[str, np.ndarray], model: ModelConfig, projected: bool
) -> dict[str, np.ndarray | JoinedRows]:
    flat = {
        name.removeprefix("text."): array for name, array in tensors.items() if not name.startswith("visual.trunk.")
    }
    renamed: dict[str, np.ndarray | JoinedRows] = dict(rename(flat, isinstance(model.vision, ResNetConfig)))
    for ours, theirs in (
        ("text.projection.weight", "text_projection.weight"),
        ("text.projection.bias", "text_projection.bias"),
    ):
        if theirs in renamed:  # a linear layer in texts of their own, not a matrix from the right
            renamed[ours] = renamed.pop(theirs)
    for name, array in tensors.items():
        if name.startswith("visual.trunk."):
            renamed |= rename_timm(name, array)
    if not projected:
        if "text.projection.weight" in renamed:
            raise CheckpointError(f"the weights do not fit {CONFIG_FILE}: text_projection is unknown")
        renamed["text.projection.weight"] = np.eye(model.embed_dim, dtype=np.float32)
    return renamed | scalars(renamed)
