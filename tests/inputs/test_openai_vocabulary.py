"""The tokenizer of OpenAI's CLIP gives its ids."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clipwright.inputs.input_spec import InputSpec
from clipwright.inputs.openai_vocabulary import OPENAI_VOCAB_SIZE, openai_tokenizer
from clipwright.inputs.tokenizer import Tokenizer
from tests.support import REFERENCE

ROWS: list[dict[str, Any]] = json.loads((REFERENCE / "openai-tokens.json").read_text(encoding="utf-8"))["rows"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    spec = InputSpec(image_size=224, context_length=77, start_id=49406, end_id=49407, pad_id=0)
    return Tokenizer(openai_tokenizer(), spec)


def test_every_row_has_the_ids_of_openai(tokenizer: Tokenizer) -> None:
    assert len(ROWS) > 300
    for row in ROWS:
        tokens = tokenizer.encode([row["text"]])
        assert tokens.ids[0].tolist() == row["ids"], row["text"]
        assert bool(tokens.dropped[0]) == row["cut"]
        assert len(row["ids"]) + tokens.dropped[0] == row["full_length"]


def test_it_has_the_published_size(tokenizer: Tokenizer) -> None:
    assert tokenizer.vocab_size == OPENAI_VOCAB_SIZE
