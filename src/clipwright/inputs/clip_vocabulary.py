"""Vocabularies in two files, vocab.json and merges.txt, as transformers kept CLIP's before tokenizer.json.

The document that is made of them gives the ids of CLIPTokenizer of transformers 5.23.0, cleaning and all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from clipwright.errors import TokenizerError
from clipwright.inputs.tokenizer import END, END_OF_WORD, START, WORDS

SPECIAL_TOKENS: Mapping[str, str] = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
"""What CLIPTokenizer calls the tokens that stand for no text, where nothing else is said."""
_VERSION = "#version"
"""In the first line of merges.txt, which is no merge."""


def clip_document(
    vocabulary: str, merges: str, special: Mapping[str, str], added: Mapping[int, tokenizers.AddedToken]
) -> str:
    """The JSON document of a tokenizer, from the texts of vocab.json and merges.txt.

    special: as SPECIAL_TOKENS. added: tokens that are known besides, by their ids. Raises TokenizerError where the
    files are damaged or do not fit each other.
    """
    ids, pairs = _read_vocabulary(vocabulary), _read_merges(merges)
    split = pre_tokenizers.Split(
        tokenizers.Regex(rf"<\|startoftext\|>|<\|endoftext\|>|{WORDS}"), "removed", invert=True
    )
    try:
        model = models.BPE(ids, pairs, end_of_word_suffix=END_OF_WORD, unk_token=special["unk_token"])
    except Exception as error:  # the library raises plain Exception
        raise TokenizerError(f"vocab.json and merges.txt do not fit each other: {error}") from error
    encoder = tokenizers.Tokenizer(model)
    encoder.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(tokenizers.Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    encoder.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    encoder.decoder = decoders.ByteLevel()
    _add_tokens(encoder, special, added)
    numbers = encoder.get_vocab(with_added_tokens=True)
    start, end = ((name, numbers[name]) for name in (special["bos_token"], special["eos_token"]))
    encoder.post_processor = processors.RobertaProcessing(end, start, trim_offsets=False, add_prefix_space=False)
    return encoder.to_str()


def _add_tokens(
    encoder: tokenizers.Tokenizer, special: Mapping[str, str], added: Mapping[int, tokenizers.AddedToken]
) -> None:
    known = {token.content for token in added.values()}
    encoder.add_tokens([token for _, token in sorted(added.items())])
    encoder.add_special_tokens([name for name in dict.fromkeys(special.values()) if name not in known])
    for number, token in added.items():
        given = encoder.token_to_id(token.content)
        if given != number:
            raise TokenizerError(f"the added token {token.content!r} is to have the id {number}, but is given {given}")


def _read_vocabulary(text: str) -> dict[str, int]:
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TokenizerError(f"vocab.json cannot be read as JSON: {error}") from error
    if not isinstance(table, dict) or not all(type(number) is int and number >= 0 for number in table.values()):
        raise TokenizerError("vocab.json must hold a table of symbols and their ids")
    return table


def _read_merges(text: str) -> list[tuple[str, str]]:
    merges = []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not line or (number == 1 and _VERSION in line):
            continue
        left, _, right = line.partition(" ")
        if not left or not right or " " in right:
            raise TokenizerError(f"merges.txt: line {number} must be two symbols, not {line[:60]!r}")
        merges.append((left, right))
    return merges
