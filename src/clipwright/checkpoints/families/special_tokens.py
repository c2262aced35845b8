"""What tokenizer.json and tokenizer_config.json say of the tokens that start, end and pad a text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from clipwright.errors import CheckpointError


def special_ids(tokenizer: str | None, tokenizer_config: Mapping[str, Any]) -> dict[str, int]:
    """The ids of bos_token, eos_token and pad_token, those of them that both files together tell."""
    named: dict[str, int] = {}
    ids = _added_tokens(tokenizer) if tokenizer is not None and tokenizer_config else {}
    for key in ("bos_token", "eos_token", "pad_token"):
        token = tokenizer_config.get(key)
        token = token.get("content") if isinstance(token, Mapping) else token
        if isinstance(token, str) and token in ids:
            named[key] = ids[token]
    return named


def _added_tokens(tokenizer: str) -> dict[str, int]:
    """Ids by token. Only this list is parsed: SigLIP 2's document has 34 MB."""
    before, key, after = tokenizer.partition('"added_tokens"')
    start = len(before) + len(key) + after.find("[")
    if not key or after.partition("[")[0].strip() != ":":
        return {}
    try:
        tokens, _ = json.JSONDecoder().raw_decode(tokenizer, start)
        return {str(token["content"]): int(token["id"]) for token in tokens}
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"tokenizer.json cannot be read: {error!r}") from error
