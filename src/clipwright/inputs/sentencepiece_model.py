"""Vocabularies in the file of SentencePiece (Kudo and Richardson 2018), as SigLIP's first ones are published.

Read without the sentencepiece library: the file is a message of protocol buffers, of which a few fields count (their
numbers stand in sentencepiece_model.proto).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from clipwright.errors import TokenizerError

_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
_PIECE_TEXT, _PIECE_SCORE, _PIECE_KIND = 1, 2, 3
_MODEL_KIND, _BYTE_FALLBACK, _UNKNOWN_ID = 3, 35, 40
_CHARACTER_MAP = 2
_UNIGRAM = 1
_CONTROL = 3
"""The kind of a piece that stands for no text: start, end, padding."""
_SPACE = "▁"


def sentencepiece_document(data: bytes) -> str:
    """The JSON document of a tokenizer that gives the ids of a SentencePiece file; its control pieces are special.

    Raises TokenizerError where the file is damaged, or is no unigram model.
    """
    try:
        model = list(_fields(data))
        trainer = dict(_fields(_last(model, _TRAINER)))
        normalizer = dict(_fields(_last(model, _NORMALIZER)))
        pieces = [_piece(value) for number, value in model if number == _PIECES and isinstance(value, bytes)]
    except (ValueError, IndexError, struct.error) as error:
        raise TokenizerError(f"the vocabulary of SentencePiece cannot be read: {error}") from error
    kind, unknown = trainer.get(_MODEL_KIND, _UNIGRAM), trainer.get(_UNKNOWN_ID, 0)
    if kind != _UNIGRAM or not pieces or not isinstance(unknown, int):
        raise TokenizerError("the vocabulary of SentencePiece is no unigram model; add its tokenizer.json")
    try:
        encoder = tokenizers.Tokenizer(
            models.Unigram([(text, score) for text, score, _ in pieces], unknown, bool(trainer.get(_BYTE_FALLBACK, 0)))
        )
        steps: list[normalizers.Normalizer] = [normalizers.Strip(), normalizers.Replace(tokenizers.Regex(" {2,}"), " ")]
        characters = normalizer.get(_CHARACTER_MAP)
        if isinstance(characters, bytes) and characters:
            steps.insert(0, normalizers.Precompiled(characters))
    except Exception as error:  # the library raises plain Exception
        raise TokenizerError(f"the vocabulary of SentencePiece cannot be read: {error}") from error
    encoder.normalizer = normalizers.Sequence(steps)
    encoder.pre_tokenizer = pre_tokenizers.Metaspace(_SPACE, "always")
    encoder.decoder = decoders.Metaspace(_SPACE, "always")
    encoder.add_special_tokens([text for text, _, kind in pieces if kind == _CONTROL])
    return encoder.to_str()


def _piece(data: bytes) -> tuple[str, float, int]:
    """Text, score and kind."""
    text, score, kind = "", 0.0, 1
    for number, value in _fields(data):
        if number == _PIECE_TEXT and isinstance(value, bytes):
            text = value.decode("utf-8")
        elif number == _PIECE_SCORE and isinstance(value, bytes):
            (score,) = struct.unpack("<f", value)
        elif number == _PIECE_KIND and isinstance(value, int):
            kind = value
    return text, score, kind


def _last(fields: list[tuple[int, int | bytes]], wanted: int) -> bytes:
    found = [value for number, value in fields if number == wanted and isinstance(value, bytes)]
    return found[-1] if found else b""


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message, by their numbers: integers, or the bytes of anything else."""
    at = 0
    while at < len(data):
        tag, at = _integer(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _integer(data, at)
            yield number, value
            continue
        if wire == 2:
            length, at = _integer(data, at)
        else:
            length = {1: 8, 5: 4}.get(wire, -1)
        if length < 0 or at + length > len(data):
            raise ValueError("a field reaches beyond its end")
        yield number, data[at : at + length]
        at += length


def _integer(data: bytes, at: int) -> tuple[int, int]:
    """A number in sevens of bits, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number is longer than 64 bits")
