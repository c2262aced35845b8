"""How texts are prepared for a model in Hugging Face's layout, as its files say it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from clipwright.checkpoints.families.special_tokens import (
    TOLD_BY_DOCUMENT,
    TOLD_BY_NAMES,
    sides,
    special_ids,
    stated_frame,
    tokenizer_kind,
)
from clipwright.errors import CheckpointError
from clipwright.inputs.input_spec import Side, TextCleaning
from clipwright.model.config import ModelConfig, TextTransformerConfig

_HISTORICAL_EOS = 2
"""Early configs say this although texts end with the largest id; transformers then looks for that."""
_MEANINGLESS_EOS = 49407
"""What configs of SigLIP say or leave at its default, taken over from CLIP; its vocabularies all end texts with 1."""
_SIGLIP_TOKENIZERS = {32_000: "SiglipTokenizer", 250_000: "SiglipTokenizer", 256_000: "Siglip2Tokenizer"}
"""By size of the vocabulary, where tokenizer_config.json is silent: as the models were trained."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """InputSpec's fields that say what stands around a text."""

    start_id: int | None
    end_id: int
    with_end: bool = True
    pad_id: int


@dataclass(frozen=True, kw_only=True)
class TextRules(Frame):
    """InputSpec's fields that are about texts."""

    context_length: int
    text_cleaning: TextCleaning
    padding: Literal["longest", "context"]
    padding_side: Side
    truncation_side: Side


def read_text_rules(
    model: ModelConfig, text: Mapping[str, Any], tokenizer: str | None, tokenizer_config: Mapping[str, Any]
) -> TextRules:
    """The rules of a CLIP's or a SigLIP's texts. text: its table in config.json, defaults filled in.

    What the tokenizer says of start, end and padding counts more than the config. Raises CheckpointError for what the
    tower cannot read as transformers would have it.
    """
    frame = _frame(model.text, text, tokenizer, tokenizer_config)
    padding_side, truncation_side = text_sides(model.text, tokenizer, tokenizer_config)
    return TextRules(
        context_length=model.text.context_length,
        text_cleaning=_cleaning(model.text, tokenizer, tokenizer_config),
        padding="longest" if model.text.causal else "context",
        padding_side=padding_side,
        truncation_side=truncation_side,
        **asdict(frame),
    )


def text_sides(
    tower: TextTransformerConfig, tokenizer: str | None, tokenizer_config: Mapping[str, Any]
) -> tuple[Side, Side]:
    """On which side texts are padded and cut. Raises CheckpointError where the tower does not see its padding: CLIP's
    counts places from a text's start, so padding there would move a text by as much as others in a batch are longer."""
    padding_side, truncation_side = sides(tokenizer, tokenizer_config)
    if padding_side == "left" and tower.pool == "end":
        raise CheckpointError(
            "texts are padded on the left, which a text tower like CLIP's cannot read; set padding_side to 'right' in"
            " tokenizer_config.json, as such models are trained"
        )
    return padding_side, truncation_side


def _cleaning(tower: TextTransformerConfig, tokenizer: str | None, tokenizer_config: Mapping[str, Any]) -> TextCleaning:
    """What is done to a text before tokenizer.json, which cleans by itself what it says."""
    if tower.causal:
        return "lower" if tokenizer is None else "none"
    kind = tokenizer_kind(tokenizer_config) or _SIGLIP_TOKENIZERS.get(tower.vocab_size, "")
    if not kind and tokenizer is not None:
        logger.warning("tokenizer_config.json states no tokenizer_class; texts are cleaned by tokenizer.json alone")
    lower_case = tokenizer_config.get("do_lower_case")
    if kind == "SiglipTokenizer":
        if lower_case is False:
            raise CheckpointError("tokenizer_config.json: SigLIP's texts without do_lower_case are not known here")
        return "canonical"
    if kind == "GemmaTokenizer" and lower_case is True:
        logger.warning(
            "tokenizer_config.json states do_lower_case, which transformers does not heed in a GemmaTokenizer: texts"
            " keep their capitals here too; SigLIP 2 was trained on lower case, so write texts so"
        )
    return "lower_case" if kind == "Siglip2Tokenizer" else "none"


def _frame(
    tower: TextTransformerConfig, text: Mapping[str, Any], tokenizer: str | None, tokenizer_config: Mapping[str, Any]
) -> Frame:
    """What the tokenizer says of start, end and padding counts more than the config."""
    told = special_ids(tokenizer, tokenizer_config)
    end, start, pad = text["eos_token_id"], text.get("bos_token_id", 0), text["pad_token_id"]
    if tower.causal and end == _HISTORICAL_EOS:
        end, start = tower.vocab_size - 1, tower.vocab_size - 2
    if not tower.causal and end == _MEANINGLESS_EOS:
        end = 1
        pad = 0 if _SIGLIP_TOKENIZERS.get(tower.vocab_size) == "Siglip2Tokenizer" else pad
    usual = Frame(
        start_id=told.get("bos_token", start) if tower.causal else None,
        end_id=told.get("eos_token", end),
        pad_id=told.get("pad_token", pad),
    )
    kind = tokenizer_kind(tokenizer_config) or ("CLIPTokenizer" if tower.causal else "")
    return usual if tokenizer is None else text_frame(tower, tokenizer, kind, usual)


def text_frame(tower: TextTransformerConfig, tokenizer: str, kind: str, usual: Frame) -> Frame:
    """What stands around a text: usual, but where a tokenizer of this kind leaves that to its document.

    Raises CheckpointError where the document does not end texts, and the tower reads them at their end.
    """
    stated = None if kind in TOLD_BY_NAMES else stated_frame(tokenizer)
    if stated is None:
        return replace(usual, with_end=tower.pool == "end" or kind not in TOLD_BY_DOCUMENT)
    start, end = stated
    if end is None and tower.pool == "end":
        raise CheckpointError("tokenizer.json puts nothing behind a text, but the text tower reads at a text's end")
    return replace(usual, start_id=start, end_id=usual.end_id if end is None else end, with_end=end is not None)
