"""What tokenizer.json and tokenizer_config.json say of a text's frame: start, end, padding, and the sides of both.

Where the two leave something open, or contradict each other, it is settled as transformers 5.23.0 does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, get_args

import tokenizers

from clipwright.errors import CheckpointError
from clipwright.inputs.input_spec import Side

TOLD_BY_DOCUMENT = ("GemmaTokenizer", "Siglip2Tokenizer", "TokenizersBackend", "PreTrainedTokenizer")
"""Kinds of tokenizers that put around a text what tokenizer.json says, and nothing where it says nothing."""
TOLD_BY_NAMES = ("CLIPTokenizer", "SiglipTokenizer")
"""Kinds that frame texts with the tokens of their config, whatever tokenizer.json says."""
_GEMMA = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"}
_USUAL_NAMES: Mapping[str, Mapping[str, str]] = {"GemmaTokenizer": _GEMMA, "Siglip2Tokenizer": _GEMMA}
"""What kinds of tokenizers call these, where tokenizer_config.json does not say it. Both pad on the left then."""
_NAMED = ("bos_token", "eos_token", "pad_token")
_SIDES: tuple[Side, ...] = get_args(Side)
_FRAMING = {"truncation", "padding", "added_tokens", "post_processor"}
"""Entries of a document."""
_KEY = re.compile(r'\s*[{,]\s*"([^"\\]*)"\s*:\s*')


def tokenizer_kind(tokenizer_config: Mapping[str, Any]) -> str:
    """The class of the tokenizer, less a 'Fast' behind it; '' where it is not stated."""
    return str(tokenizer_config.get("tokenizer_class") or "").removesuffix("Fast")


def special_ids(tokenizer: str | None, tokenizer_config: Mapping[str, Any]) -> dict[str, int]:
    """The ids of bos_token, eos_token and pad_token, those of them that both files together tell."""
    ids = _added_tokens(tokenizer) if tokenizer is not None and tokenizer_config else {}
    names = {**_USUAL_NAMES.get(tokenizer_kind(tokenizer_config), {}), **_named_tokens(tokenizer_config)}
    return {key: ids[names[key]] for key in _NAMED if names.get(key) in ids}


def with_named_tokens(tokenizer: str, tokenizer_config: Mapping[str, Any]) -> str:
    """The document, with those of its symbols special that tokenizer_config.json names as such: '!' to pad, say.

    Such a token is cut out of texts before anything else.
    """
    missing = set(_named_tokens(tokenizer_config).values()) - _added_tokens(tokenizer).keys()
    if not missing:
        return tokenizer
    try:
        encoder = tokenizers.Tokenizer.from_str(tokenizer)
    except Exception:  # the library raises plain Exception; whoever reads it says what is wrong with it
        return tokenizer
    encoder.add_special_tokens([name for name in sorted(missing) if encoder.token_to_id(name) is not None])
    return encoder.to_str()


def _named_tokens(tokenizer_config: Mapping[str, Any]) -> dict[str, str]:
    tokens = {key: tokenizer_config.get(key) for key in _NAMED}
    names = {key: token.get("content") if isinstance(token, Mapping) else token for key, token in tokens.items()}
    return {key: name for key, name in names.items() if isinstance(name, str) and name}


def stated_frame(tokenizer: str) -> tuple[int | None, int | None] | None:
    """The ids that the document puts before a text and behind it, None for none; None where it says nothing of that.

    Raises CheckpointError where it puts more than one on a side.
    """
    step = _entries(tokenizer).get("post_processor")
    if step is None:
        return None
    probe = {"version": "1.0", "added_tokens": [], "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}
    try:
        framed = tokenizers.Tokenizer.from_str(json.dumps({**probe, "post_processor": step})).encode("a")
    except Exception as error:  # the library raises plain Exception
        raise CheckpointError(f"tokenizer.json: its post_processor cannot be read: {error}") from error
    place = framed.special_tokens_mask.index(0)
    before, behind = framed.ids[:place], framed.ids[place + 1 :]
    if len(before) > 1 or len(behind) > 1:
        raise CheckpointError(
            f"tokenizer.json puts {before} before a text and {behind} behind it; one on a side is read"
        )
    return before[0] if before else None, behind[0] if behind else None


def sides(tokenizer: str | None, tokenizer_config: Mapping[str, Any]) -> tuple[Side, Side]:
    """On which side of a text padding is put, and on which a text that is too long is cut."""
    entries = {} if tokenizer is None else _entries(tokenizer)
    usual: Side = "left" if tokenizer_kind(tokenizer_config) in _USUAL_NAMES else "right"
    return (
        _side(tokenizer_config, "padding_side", entries.get("padding"), usual),
        _side(tokenizer_config, "truncation_side", entries.get("truncation"), "right"),
    )


def _side(tokenizer_config: Mapping[str, Any], key: str, in_document: Any, usual: Side) -> Side:
    side = tokenizer_config.get(key)
    if side is None and isinstance(in_document, Mapping):
        side = str(in_document.get("direction", usual)).lower()
    if side is None:
        return usual
    for known in _SIDES:
        if side == known:
            return known
    raise CheckpointError(f"tokenizer_config.json: {key} is {side!r}; {' and '.join(map(repr, _SIDES))} are known")


def _added_tokens(tokenizer: str) -> dict[str, int]:
    """Ids by token."""
    try:
        return {str(token["content"]): int(token["id"]) for token in _entries(tokenizer).get("added_tokens") or ()}
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"tokenizer.json cannot be read: {error!r}") from error


def _entries(tokenizer: str) -> dict[str, Any]:
    """The entries of a document that say something of a text's frame. The rest is not parsed where it stands behind
    them, as the library writes it: SigLIP 2's model has 34 MB."""
    entries: dict[str, Any] = {}
    place = 0
    while not entries.keys() >= _FRAMING and (key := _KEY.match(tokenizer, place)):
        try:
            entries[key[1]], place = json.JSONDecoder().raw_decode(tokenizer, key.end())
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"tokenizer.json cannot be read: {error!r}") from error
    return entries
