"""The vocabulary of OpenAI's CLIP, which most published models share (Radford et al. 2021, §2.4)."""

from __future__ import annotations

import functools
import gzip
import json
from importlib import resources

from tokenizers import pre_tokenizers

from clipwright.inputs.tokenizer import END_OF_WORD, byte_pair_document

OPENAI_VOCAB_SIZE = 49408


@functools.cache
def openai_tokenizer() -> str:
    """The JSON document of OpenAI's tokenizer."""
    packed = resources.files("clipwright") / "inputs" / "vocabularies" / "openai_merges.txt.gz"
    _, *lines = gzip.decompress(packed.read_bytes()).decode("utf-8").splitlines()
    merges = [(left, right) for left, right in (line.split() for line in lines)]
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())  # as OpenAI orders them: bytes that can be printed first
    ordered = [*symbols, *(symbol + END_OF_WORD for symbol in symbols), *(a + b for a, b in merges)]
    return byte_pair_document({symbol: number for number, symbol in enumerate(ordered)}, merges)


def has_openai_vocabulary(document: str) -> bool:
    """Whether a tokenizer's JSON document has the symbols and ids of OpenAI's, however it cleans and pads."""
    return _symbols(document) == _symbols(openai_tokenizer())


def _symbols(document: str) -> dict[str, int] | None:
    try:
        table = json.loads(document)
        return dict(table["model"]["vocab"]) | {token["content"]: token["id"] for token in table["added_tokens"]}
    except (ValueError, KeyError, TypeError):
        return None  # whoever reads it says what is wrong with it
