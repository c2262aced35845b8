"""SentencePiece files give the ids that transformers gives; damaged ones are refused."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from clipwright.errors import TokenizerError
from clipwright.inputs.input_spec import InputSpec
from clipwright.inputs.sentencepiece_model import sentencepiece_document
from clipwright.inputs.tokenizer import Tokenizer
from tests.support import DATA

MODEL = (DATA / "spiece" / "spiece.model").read_bytes()
"""300 pieces, learned by sentencepiece 0.2.3 from this project's documents."""
ROWS: list[dict[str, Any]] = json.loads((DATA / "spiece" / "ids.json").read_text())["rows"]


@pytest.mark.parametrize("row", ROWS, ids=[str(number) for number in range(len(ROWS))])
def test_ids_are_those_of_siglips_tokenizer_in_transformers(row: dict[str, Any]) -> None:
    cleaned = InputSpec(image_size=8, context_length=64, text_cleaning="canonical", start_id=None, end_id=1, pad_id=1)
    tokens = Tokenizer(sentencepiece_document(MODEL), cleaned).encode([row["text"]])
    assert tokens.ids[0].tolist() == row["ids"]


def test_control_pieces_are_told_as_special() -> None:
    table = json.loads(sentencepiece_document(MODEL))
    assert {token["content"]: token["id"] for token in table["added_tokens"]} == {"<pad>": 0, "</s>": 1}


def test_a_model_of_another_kind_is_refused() -> None:
    trainer = bytes([0x12, 2, 0x18, 2])  # trainer_spec { model_type: BPE }, which counts as the last of its kind
    with pytest.raises(TokenizerError, match="no unigram model"):
        sentencepiece_document(MODEL + trainer)


def test_damaged_files_are_refused_or_read_but_never_crash() -> None:
    chance = random.Random(0)
    damaged = [MODEL[: chance.randrange(len(MODEL))] for _ in range(50)]
    for _ in range(300):
        changed = bytearray(MODEL)
        for _ in range(3):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        damaged.append(bytes(changed))
    refused = 0
    for data in damaged:
        try:
            sentencepiece_document(data)
        except TokenizerError:
            refused += 1
    assert refused > 100
