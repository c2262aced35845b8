"""What tokenizer.json and tokenizer_config.json say of the tokens that start, end and pad a text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from clipwright.errors import CheckpointError


def special_ids(tokenizer: str | None, tokenizer_config: Mapping[str, Any]) -> dict[str, int]:
    """The ids of bos_token, eos_token and pad_token, those of them that both files together tell."""
    ids = _added_tokens(tokenizer)
    named = {}
    for key in ("bos_token", "eos_token", "pad_token"):
        token = tokenizer_config.get(key)
        token = token.get("content") if isinstance(token, Mapping) else token
        if isinstance(token, str) and token in ids:
            named[key] = ids[token]
    return named


def _added_tokens(tokenizer: str | None) -> dict[str, int]:
    if tokenizer is None:
        return {}
    try:
        return {str(token["content"]): int(token["id"]) for token in json.loads(tokenizer).get("added_tokens", ())}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"tokenizer.json cannot be read: {error!r}") from error
