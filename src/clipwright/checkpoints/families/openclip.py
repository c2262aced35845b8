"""OpenCLIP's layout: open_clip_config.json beside the tensors, which have OpenAI's names or timm's.

Every key of the config either decides something here, is known to change nothing at inference, or is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from clipwright.checkpoints.checkpoint import Checkpoint, JoinedRows
from clipwright.checkpoints.families.openai import rename
from clipwright.errors import CheckpointError, RecipeError
from clipwright.inputs.input_spec import OPENAI_MEAN, OPENAI_STD, InputSpec
from clipwright.inputs.openai_vocabulary import OPENAI_VOCAB_SIZE, openai_tokenizer
from clipwright.model.config import (
    Activation,
    ModelConfig,
    ResNetConfig,
    TextTransformerConfig,
    VisionConfig,
    VisionTransformerConfig,
)

CONFIG_FILE = "open_clip_config.json"
_NO_EFFECT = {
    "patch_dropout",
    "timm_model_pretrained",
    "timm_drop",
    "timm_drop_path",
    "timm_proj_bias",
    "hf_tokenizer_name",
    "tokenizer_mode",
    "output_tokens",
    "attn_pooler_queries",
    "attn_pooler_heads",
    "hf_model_pretrained",
    "hf_proj_type",
    "hf_pooler_type",
    "block_type",
}
"""Keys that matter in training only, or belong to something that is refused by another key."""
_TIMM_NAME = re.compile(r"vit_(base|large|so400m|giantopt)_patch\d+_siglip_\d+")
_C4_VOCAB_SIZE = 32000
"""SigLIP's first vocabulary pads with its end token 1; the later one, of 256,000, with 0."""
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


class _Table:
    """A table of the config whose keys must all be asked for."""

    def __init__(self, table: object, where: str) -> None:
        if not isinstance(table, Mapping):
            raise CheckpointError(f"{CONFIG_FILE}: {where} is no table")
        self._table, self._where, self._asked = table, where, set(_NO_EFFECT)

    def get(self, key: str, default: Any) -> Any:
        self._asked.add(key)
        value = self._table.get(key, default)
        return default if value is None else value

    def refuse(self, key: str, accepted: Any, lacking: str) -> None:
        """Raises CheckpointError where key asks for something other than what is accepted, or the default."""
        value = self.get(key, accepted)
        if value != accepted:
            raise CheckpointError(f"{CONFIG_FILE}: {self._where}.{key} is {value!r}; clipwright has no {lacking}")

    def finish(self) -> None:
        unknown = [key for key, value in self._table.items() if key not in self._asked and value not in (None, False)]
        if unknown:
            raise CheckpointError(f"{CONFIG_FILE}: {self._where} has the key {unknown[0]!r}, which is not known here")


def read_openclip(config: object, tensors: Mapping[str, np.ndarray], tokenizer: str | None) -> Checkpoint:
    """The checkpoint of a parsed open_clip_config.json and its tensors.

    tokenizer: the tokenizer.json beside them, where there is one. Raises CheckpointError for towers that are not built
    here, and for settings that are not known.
    """
    root = _Table(config, "the file")
    top = _Table(root.get("model_cfg", None), "model_cfg")
    preprocess = _Table(root.get("preprocess_cfg", {}), "preprocess_cfg")
    try:
        model = _read_model(top, tensors)
        spec = _read_spec(preprocess, model, _cleans_as_siglip(config))
    except (ValueError, TypeError, KeyError, RecipeError) as error:
        raise CheckpointError(f"{CONFIG_FILE} does not fit: {error}") from error
    if model.text.vocab_size == OPENAI_VOCAB_SIZE and tokenizer is None:
        tokenizer = openai_tokenizer()
    return Checkpoint(
        config=model,
        spec=spec,
        tokenizer=tokenizer,
        weights=_weights(tensors, model),
        provenance={"layout": "openclip"},
    )


def _cleans_as_siglip(config: Any) -> bool:
    """Whether the tokenizer's settings ask for SigLIP's cleaning."""
    text = config["model_cfg"]["text_cfg"]
    cleaning = (text.get("tokenizer_kwargs") or {}).get("clean", "whitespace")
    if cleaning not in ("canonicalize", "whitespace"):
        raise CheckpointError(f"{CONFIG_FILE}: texts cleaned as {cleaning!r} are not known here")
    return bool(cleaning == "canonicalize")


def _read_model(top: _Table, tensors: Mapping[str, np.ndarray]) -> ModelConfig:
    embed_dim = top.get("embed_dim", None)
    activation: Activation = "quick_gelu" if top.get("quick_gelu", False) else "gelu"
    top.refuse("multimodal_cfg", {}, "captioning towers (CoCa)")
    top.get("custom_text", False)
    top.get("init_logit_scale", 0)
    top.get("nonscalar_logit_scale", False)
    biased = top.get("init_logit_bias", None) is not None
    vision = _read_vision(_Table(top.get("vision_cfg", None), "vision_cfg"), activation, embed_dim, tensors)
    text = _read_text(_Table(top.get("text_cfg", None), "text_cfg"), activation)
    top.finish()
    return ModelConfig(embed_dim=embed_dim, vision=vision, text=text, scores="sigmoid" if biased else "softmax")


def _refuse_custom_blocks(table: _Table) -> None:
    table.refuse("ls_init_value", 0, "layer scale")
    for key in ("qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc"):
        table.refuse(key, False, "such attention blocks")


def _read_vision(
    table: _Table, activation: Activation, embed_dim: int, tensors: Mapping[str, np.ndarray]
) -> VisionConfig:
    name = table.get("timm_model_name", "")
    if name:
        return _read_timm(table, name, tensors)
    _refuse_custom_blocks(table)
    table.refuse("attentional_pool", False, "attentional pooler (CoCa)")
    table.refuse("pool_type", "tok", "such pooling")
    table.refuse("final_ln_after_pool", False, "LayerNorm after the pooling")
    table.refuse("pos_embed_type", "learnable", "such embeddings of position")
    image_size, layers, width = table.get("image_size", 224), table.get("layers", 12), table.get("width", 768)
    head_width, patch_size, mlp_ratio = (
        table.get(key, default) for key, default in (("head_width", 64), ("patch_size", 16), ("mlp_ratio", 4.0))
    )
    no_norm = table.get("no_ln_pre", False)
    epsilon, activation = _kwargs(table, activation)
    table.finish()
    if isinstance(layers, list):
        first, second, third, fourth = layers
        heads = width * 32 // head_width
        return ResNetConfig(
            image_size=image_size, width=width, stage_blocks=(first, second, third, fourth), heads=heads
        )
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


def _kwargs(table: _Table, activation: Activation) -> tuple[float, Activation]:
    """The LayerNorms' epsilon and the activation that norm_kwargs and act_kwargs ask for."""
    norm, act = _Table(table.get("norm_kwargs", {}), "norm_kwargs"), _Table(table.get("act_kwargs", {}), "act_kwargs")
    epsilon = float(norm.get("eps", 1e-5))
    approximate = act.get("approximate", "none")
    norm.finish()
    act.finish()
    if approximate not in ("none", "tanh"):
        raise CheckpointError(f"{CONFIG_FILE}: GELU approximated by {approximate!r} is not known here")
    return epsilon, "gelu_tanh" if approximate == "tanh" else activation


def _read_timm(table: _Table, name: str, tensors: Mapping[str, np.ndarray]) -> VisionTransformerConfig:
    match = _TIMM_NAME.fullmatch(name)
    if match is None:
        raise CheckpointError(f"{CONFIG_FILE}: clipwright has no tower {name!r} of timm; only SigLIP's are built here")
    table.refuse("timm_pool", "map", "such pooling")
    table.refuse("timm_proj", "none", "such a projection")
    image_size = table.get("image_size", 224)
    table.finish()
    width, _, patch_size, _ = tensors["visual.trunk.patch_embed.proj.weight"].shape
    return VisionTransformerConfig(
        image_size=image_size,
        patch_size=patch_size,
        width=width,
        layers=sum(name.endswith(".norm1.weight") for name in tensors),
        heads=TIMM_HEADS[match[1]],
        mlp_width=tensors["visual.trunk.blocks.0.mlp.fc1.weight"].shape[0],
        activation="gelu_tanh" if _TIMM_TANH.fullmatch(name) else "gelu",
        epsilon=1e-6,
        pool="attention",
        patch_bias=True,
        input_norm=False,
        projection=False,
    )


def _read_text(table: _Table, activation: Activation) -> TextTransformerConfig:
    table.refuse("hf_model_name", "", "text tower of that kind; multilingual towers are not built here")
    _refuse_custom_blocks(table)
    table.refuse("embed_cls", False, "class token in texts (CoCa)")
    table.refuse("final_ln_after_pool", False, "LayerNorm after the pooling")
    table.refuse("proj_type", "linear", "such a projection")
    for ignored in ("pad_id", "eos_id"):  # used with pool_type eos only, which is refused
        table.get(ignored, 0)
    pool = table.get("pool_type", "argmax")
    if pool not in ("argmax", "last"):
        raise CheckpointError(f"{CONFIG_FILE}: text_cfg.pool_type is {pool!r}; clipwright has no such pooling")
    width = table.get("width", 512)
    epsilon, activation = _kwargs(table, activation)
    text = TextTransformerConfig(
        context_length=table.get("context_length", 77),
        vocab_size=table.get("vocab_size", OPENAI_VOCAB_SIZE),
        width=width,
        layers=table.get("layers", 12),
        heads=table.get("heads", 8),
        mlp_width=int(width * table.get("mlp_ratio", 4.0)),
        activation=activation,
        epsilon=epsilon,
        causal=not table.get("no_causal_mask", False),
        pool="last" if pool == "last" else "end",
        projection_bias=bool(table.get("proj_bias", False)),
    )
    table.get("tokenizer_kwargs", {})
    table.finish()
    return text


def _read_spec(table: _Table, model: ModelConfig, canonical: bool) -> InputSpec:
    siglip = model.text.pool == "last"
    vocab_size = model.text.vocab_size
    for ignored in ("size", "mode"):
        table.get(ignored, None)
    interpolation, resize = table.get("interpolation", "bicubic"), table.get("resize_mode", "shortest")
    if interpolation not in ("bicubic", "bilinear") or resize not in ("shortest", "squash", "longest"):
        raise CheckpointError(f"{CONFIG_FILE}: pictures resized {interpolation} and {resize} are not known here")
    fill = table.get("fill_color", 0)
    spec = InputSpec(
        image_size=model.vision.image_size,
        resize=resize,
        interpolation=interpolation,
        fill=(fill, fill, fill) if isinstance(fill, int) else tuple(fill),
        mean=tuple(table.get("mean", OPENAI_MEAN)),
        std=tuple(table.get("std", OPENAI_STD)),
        context_length=model.text.context_length,
        text_cleaning="canonical" if canonical else "none" if siglip else "lower",
        padding="longest" if model.text.causal and not siglip else "context",
        start_id=None if siglip else vocab_size - 2,
        end_id=1 if siglip else vocab_size - 1,
        pad_id=1 if siglip and vocab_size == _C4_VOCAB_SIZE else 0,
    )
    table.finish()
    return spec


def _weights(tensors: Mapping[str, np.ndarray], model: ModelConfig) -> dict[str, np.ndarray | JoinedRows]:
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
            renamed |= _rename_timm(name, array)
    for name in ("logit_scale", "logit_bias"):
        if name in renamed:
            renamed[name] = np.asarray(renamed[name]).reshape(())
    return renamed


def _rename_timm(name: str, array: np.ndarray) -> dict[str, np.ndarray]:
    for pattern, replacement in _TIMM_RENAMES:
        name = re.sub(pattern, replacement, name)
    if name.startswith("vision.head.kv."):
        part = name.rpartition(".")[2]
        return dict(zip((f"vision.head.key.{part}", f"vision.head.value.{part}"), np.split(array, 2), strict=True))
    if name in ("vision.position_embedding", "vision.head.probe"):
        array = array.reshape(array.shape[-2:] if name.endswith("embedding") else array.shape[-1:])
    return {name: array}
