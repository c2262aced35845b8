"""OpenAI's layout: one flat table of tensors, in a TorchScript archive or as a plain state dict.

The architecture is read off the shapes, as OpenAI's own code does (github.com/openai/CLIP, clip/model.py).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

import numpy as np

from clipwright.checkpoints.checkpoint import Checkpoint, JoinedRows
from clipwright.errors import CheckpointError
from clipwright.inputs.input_spec import InputSpec
from clipwright.inputs.openai_vocabulary import OPENAI_VOCAB_SIZE, openai_tokenizer
from clipwright.model.config import (
    ModelConfig,
    ResNetConfig,
    TextTransformerConfig,
    VisionConfig,
    VisionTransformerConfig,
)

_HEAD_WIDTH = 64
_MARKS = {"visual.conv1.weight", "text_projection", "token_embedding.weight", "positional_embedding", "ln_final.weight"}
"""Names that only these layouts have; a file that lacks one of them is damaged."""
_SHOWING = {"visual.conv1.weight", "ln_final.weight"}
_ALL_TENSORS = re.compile(r"input_resolution|context_length|vocab_size|(.*\.)?(num_batches_tracked|attn_mask)")
"""What is in a file but is no weight."""
_RENAMES = [
    (r"positional_embedding|token_embedding\.weight", r"text.\g<0>"),
    (r"ln_final\.(.*)", r"text.output_norm.\1"),
    (r"text_projection", "text.projection.weight"),
    (r"transformer\.(resblocks\..*)", r"text.\1"),
    (r"visual\.transformer\.(resblocks\..*)", r"vision.\1"),
    (r"visual\.proj", "vision.projection.weight"),
    (r"visual\.conv1\.weight", "vision.patch_embedding.weight"),
    (r"visual\.ln_pre\.(.*)", r"vision.input_norm.\1"),
    (r"visual\.ln_post\.(.*)", r"vision.output_norm.\1"),
    (r"visual\.(.*)", r"vision.\1"),
]
_RENAMES_OF_A_RESNET = [
    (r"visual\.(conv|bn)(\d)\.(.*)", r"vision.stem.\1\2.\3"),
    (r"visual\.layer(\d)\.(.*)", lambda match: f"vision.stages.{int(match[1]) - 1}.{match[2]}"),
    (r"visual\.attnpool\.(.*)", r"vision.pool.\1"),
]
_PARTS = [
    (r"resblocks\.", "blocks."),
    (r"\bln_1\.", "attention_norm."),
    (r"\bln_2\.", "mlp_norm."),
    (r"attn\.in_proj_(weight|bias)", r"attention.qkv.\1"),
    (r"attn\.out_proj\.", "attention.output."),
    (r"mlp\.c_fc\.", "mlp.up."),
    (r"mlp\.c_proj\.", "mlp.down."),
    (r"\bpositional_embedding", "position_embedding"),
    (r"downsample\.0\.", "downsample.conv."),
    (r"downsample\.1\.", "downsample.norm."),
    (r"\bbn(\d)\.", r"norm\1."),
    (r"\bq_proj\.", "query."),
    (r"\bk_proj\.", "key."),
    (r"\bv_proj\.", "value."),
    (r"\bc_proj\.", "output."),
]
_TRANSPOSED = ("vision.projection.weight", "text.projection.weight")
"""Multiplied from the right in this layout."""
logger = logging.getLogger(__name__)


def is_openai(tensors: Mapping[str, np.ndarray]) -> bool:
    """Whether these are the tensors of a CLIP in OpenAI's names; one of its marks may be missing."""
    return len(_MARKS & tensors.keys()) >= len(_MARKS) - 1


def says_all(tensors: Mapping[str, np.ndarray]) -> bool:
    """Whether such tensors show that they are OpenAI's own, so that activation and heads are known too.

    OpenAI's archives hold their sizes as numbers, and OpenAI's weights have two precisions.
    """
    if not tensors.keys() >= _SHOWING:
        return False
    kernel, norm = tensors["visual.conv1.weight"], tensors["ln_final.weight"]
    return "input_resolution" in tensors or (kernel.dtype == np.float16 and norm.dtype == np.float32)


def read_openai(tensors: Mapping[str, np.ndarray], config: ModelConfig | None = None) -> Checkpoint:
    """The checkpoint in these tensors, in whatever precision they are. config: where it is known from elsewhere.

    Raises CheckpointError where shapes lie.
    """
    if not any(name.startswith("transformer.resblocks.") for name in tensors):
        raise CheckpointError(
            "the weights lack the text tower's blocks (transformer.resblocks...), which WiSE-FT takes out; name the"
            " model that was fine-tuned behind a plus, whose text tower is taken then: FILE+MODEL"
        )
    if config is None:
        config = _shown_config(tensors)
    return as_openai(config, rename(tensors, isinstance(config.vision, ResNetConfig)))


def as_openai(config: ModelConfig, weights: Mapping[str, np.ndarray | JoinedRows]) -> Checkpoint:
    """The checkpoint of weights in clipwright's names whose inputs are prepared as OpenAI does."""
    known = config.text.vocab_size == OPENAI_VOCAB_SIZE
    spec = InputSpec(
        image_size=config.vision.image_size,
        context_length=config.text.context_length,
        start_id=config.text.vocab_size - 2,
        end_id=config.text.vocab_size - 1,
        pad_id=0,
    )
    return Checkpoint(
        config=config,
        spec=spec,
        tokenizer=openai_tokenizer() if known else None,
        weights={**weights, **scalars(weights)},
        provenance={"layout": "openai"},
    )


def _shown_config(tensors: Mapping[str, np.ndarray]) -> ModelConfig:
    """The config that the shapes show, and what of it they do not show as in OpenAI's own models."""
    try:
        config = _config(tensors)
    except KeyError as error:
        raise CheckpointError(f"the weights do not fit OpenAI's layout: {error.args[0]} is missing") from error
    except (IndexError, ValueError, ZeroDivisionError) as error:
        raise CheckpointError(f"the shapes of these tensors make no CLIP of OpenAI's: {error}") from error
    if not says_all(tensors):
        logger.warning(
            "the file does not say which activation and which heads these weights want; OpenAI's are taken (QuickGELU,"
            " %d numbers a head); name the architecture behind the file, FILE:ViT-B-32 say, or the folder that holds"
            " its %s",
            _HEAD_WIDTH,
            "open_clip_config.json",
        )
    return config


def rename(tensors: Mapping[str, np.ndarray], resnet: bool) -> dict[str, np.ndarray]:
    """The weights under clipwright's names. A name that is not known stays as it is, to be refused by it later."""
    weights = {}
    for name, array in tensors.items():
        if not _ALL_TENSORS.fullmatch(name):
            ours = _rename_one(name, resnet)
            weights[ours] = array.T if ours in _TRANSPOSED and array.ndim == 2 else array
    return weights


def scalars(weights: Mapping[str, np.ndarray | JoinedRows]) -> dict[str, np.ndarray]:
    """Scale and bias of the scores without axes; some files give them one."""
    found = {name: np.asarray(weights[name]) for name in ("logit_scale", "logit_bias") if name in weights}
    return {name: array.reshape(()) for name, array in found.items() if array.size == 1}


def _rename_one(name: str, resnet: bool) -> str:
    for pattern, replacement in [*(_RENAMES_OF_A_RESNET if resnet else ()), *_RENAMES]:
        renamed, count = re.subn(f"^(?:{pattern})$", replacement, name)
        if count:
            for part, new in _PARTS:
                renamed = re.sub(part, new, renamed)
            return str(renamed)
    return name


def _config(tensors: Mapping[str, np.ndarray]) -> ModelConfig:
    width = tensors["ln_final.weight"].shape[0]
    text = TextTransformerConfig(
        context_length=tensors["positional_embedding"].shape[0],
        vocab_size=tensors["token_embedding.weight"].shape[0],
        width=width,
        layers=_count(tensors, r"transformer\.resblocks\.(\d+)\."),
        heads=width // _HEAD_WIDTH,
        mlp_width=4 * width,
    )
    embed_dim = tensors["text_projection"].shape[1]
    return ModelConfig(embed_dim=embed_dim, vision=_vision(tensors), text=text)


def _vision(tensors: Mapping[str, np.ndarray]) -> VisionConfig:
    if "visual.class_embedding" in tensors:
        width, _, patch_size, _ = tensors["visual.conv1.weight"].shape
        side = round((tensors["visual.positional_embedding"].shape[0] - 1) ** 0.5)
        return VisionTransformerConfig(
            image_size=side * patch_size,
            patch_size=patch_size,
            width=width,
            layers=_count(tensors, r"visual\.transformer\.resblocks\.(\d+)\."),
            heads=width // _HEAD_WIDTH,
            mlp_width=4 * width,
        )
    width = tensors["visual.layer1.0.conv1.weight"].shape[0]
    side = round((tensors["visual.attnpool.positional_embedding"].shape[0] - 1) ** 0.5)
    first, second, third, fourth = (_count(tensors, rf"visual\.layer{stage}\.(\d+)\.") for stage in (1, 2, 3, 4))
    return ResNetConfig(
        image_size=side * 32,
        width=width,
        stage_blocks=(first, second, third, fourth),
        heads=width * 32 // _HEAD_WIDTH,
    )


def _count(tensors: Mapping[str, np.ndarray], pattern: str) -> int:
    """How many numbers the names count through, from 0."""
    return len({match[1] for name in tensors if (match := re.match(pattern, name))})
