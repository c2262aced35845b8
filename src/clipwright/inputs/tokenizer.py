"""Texts to token ids: byte-pair encoding on the tokenizers library, and the cleaning that goes before it.

A tokenizer is one JSON document of that library, so it travels inside the model file. Byte-pair encoding as Sennrich
et al. 2016, over bytes and with the end of a word marked, as in OpenAI's CLIP.
"""

from __future__ import annotations

import functools
import html
import json
import re
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from clipwright.errors import TokenizerError
from clipwright.inputs.input_spec import InputSpec, TextCleaning

START = "<|startoftext|>"
END = "<|endoftext|>"
END_OF_WORD = "</w>"
"""Marks the last symbol of a word."""
_PLAIN = re.compile(r"[ -%'-~]*")
"""Printable ASCII without the sign that begins HTML entities: nothing in it can be mended."""
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
"""One match a word: contractions, letters, single digits, runs of anything else (OpenAI, clip/simple_tokenizer.py)."""

_REMEMBERED_LENGTH = 200
"""Letters of the longest text whose cleaned form is remembered: of longer ones the memory would not hold many."""
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


@functools.lru_cache(maxsize=50_000)  # in training and serving the same texts come again and again
def clean_text(text: str, cleaning: TextCleaning) -> str:
    """The text as the tokenizer is to see it."""
    if cleaning == "none":
        return _whole_characters(text)
    if cleaning == "lower_case":
        return str(normalizers.Lowercase().normalize_str(_whole_characters(text)))  # letter by letter, as theirs
    if cleaning == "canonical":
        return _canonical(_whole_characters(text))
    mended = text if _PLAIN.fullmatch(text) else _mended(text)
    if cleaning == "mended_canonical":
        return _canonical(mended.replace("_", " "))
    joined = re.sub(r"\s+", " ", mended).strip()
    return joined if cleaning == "mended" else joined.lower()


def _mended(text: str) -> str:
    import ftfy

    return html.unescape(html.unescape(ftfy.fix_text(text)))


def _canonical(text: str) -> str:
    return " ".join(text.translate(_NO_PUNCTUATION).split()).lower()


def _whole_characters(text: str) -> str:
    """The text with half a character, which has no bytes, replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@dataclass(frozen=True)
class Tokens:
    """A batch of texts for a text tower."""

    ids: np.ndarray
    """(B, L) int64, each row start ... end, padded on one side."""
    ends: np.ndarray
    """(B,) int64: where in its row each text ends."""
    dropped: tuple[int, ...]
    """For each text, how many tokens did not fit."""
    starts: np.ndarray | int = 0
    """Where in its row each text begins: behind the padding, where that stands on the left."""


class Tokenizer:
    """Texts to ids with one vocabulary and one InputSpec."""

    def __init__(self, document: str, spec: InputSpec, tower_vocab_size: int | None = None) -> None:
        """document is the JSON of the tokenizers library; raises TokenizerError where it is damaged.

        tower_vocab_size: how many ids the text tower knows, where that is known; others are refused.
        """
        self._encoder = _read_document(document)
        self._encoder.no_padding()
        self._encoder.no_truncation()
        self.spec = spec
        self.document = document
        self._tower_vocab_size = tower_vocab_size
        self._check_ids(max(spec.start_id or 0, spec.end_id, spec.pad_id), "it frames texts with")

    @property
    def vocab_size(self) -> int:
        return self._encoder.get_vocab_size(with_added_tokens=True)

    def encode(self, texts: Sequence[str]) -> Tokens:
        """Tokens of a batch of texts, cut to the context with the end token kept."""
        spec = self.spec
        start, end = [] if spec.start_id is None else [spec.start_id], [spec.end_id] if spec.with_end else []
        room = spec.context_length - len(start) - len(end)
        kept = slice(room) if spec.truncation_side == "right" else slice(-room, None)
        cleaned = [self._clean(text) for text in texts]
        encodings = self._encoder.encode_batch(cleaned, add_special_tokens=False)
        rows = [[*start, *encoding.ids[kept], *end] for encoding in encodings]
        longest = max((len(row) for row in rows), default=1)
        length = spec.context_length if spec.padding == "context" else longest
        lengths = np.array([len(row) for row in rows], np.int64)
        starts = length - lengths if spec.padding_side == "left" else np.zeros_like(lengths)
        ids = np.full((len(rows), length), spec.pad_id, np.int64)
        for target, row, first in zip(ids, rows, starts, strict=True):
            target[first : first + len(row)] = row
        self._check_ids(int(ids.max(initial=0)), "it makes of a text")
        dropped = tuple(max(0, len(encoding.ids) - room) for encoding in encodings)
        return Tokens(ids, np.maximum(starts + lengths - 1, 0), dropped, starts)

    def _check_ids(self, largest: int, whence: str) -> None:
        """Some runtimes read beyond the weights of a tower for an id that it does not know."""
        if self._tower_vocab_size is not None and largest >= self._tower_vocab_size:
            raise TokenizerError(
                f"the tokenizer does not belong to the text tower, which knows {self._tower_vocab_size} ids:"
                f" {whence} the id {largest}"
            )

    def _clean(self, text: str) -> str:
        clean = clean_text if len(text) <= _REMEMBERED_LENGTH else clean_text.__wrapped__
        return clean(text, self.spec.text_cleaning)


def _read_document(document: str) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_str(document)
    except Exception as error:  # the library raises plain Exception
        raise TokenizerError(f"the model's tokenizer cannot be read: {error}") from error


def end_ids(document: str) -> tuple[int, int]:
    """The ids that start and end a text in a tokenizer's JSON document. Raises TokenizerError where it has none."""
    encoder = _read_document(document)
    start, end = encoder.token_to_id(START), encoder.token_to_id(END)
    if start is None or end is None:
        raise TokenizerError(f"the tokenizer lacks {START} or {END}")
    return start, end


def framing_ids(document: str) -> tuple[int | None, int]:
    """The ids that a tokenizer's JSON document itself puts before a text (None: nothing) and behind it.

    Raises TokenizerError where it does not put at most one token before and exactly one behind.
    """
    encoder = _read_document(document)
    encoder.no_padding()
    encoder.no_truncation()
    bare, framed = (encoder.encode("a", add_special_tokens=special).ids for special in (False, True))
    for before in (0, 1):
        if framed[before:-1] == bare and len(framed) == before + len(bare) + 1:
            return (framed[0] if before else None), framed[-1]
    raise TokenizerError(f"tokenizer.json makes {framed} of {bare}, which is not a text between a start and an end")


def document_that_cleans(document: str, spec: InputSpec) -> tuple[str, dict[str, str]]:
    """The document with the cleaning and the special tokens of spec inside, for libraries that know nothing of spec.

    Gives also what these libraries call the special tokens: bos_token, eos_token, pad_token. Mojibake is not mended and
    HTML entities are not resolved by such a document: the tokenizers library cannot do that.
    """
    encoder = _read_document(document)
    steps = _cleaning_steps(spec.text_cleaning)
    if steps:
        encoder.normalizer = normalizers.Sequence([*steps, *([encoder.normalizer] if encoder.normalizer else [])])
    ids = {"bos_token": spec.start_id, "eos_token": spec.end_id, "pad_token": spec.pad_id}
    special = {key: str(encoder.id_to_token(number)) for key, number in ids.items() if number is not None}
    if spec.pad_id not in encoder.get_added_tokens_decoder():
        special["pad_token"] = special["eos_token"]  # '!' has the id 0 that pads; named here, texts would lose theirs
    end = [special["eos_token"]] if spec.with_end else []
    sequence = [special[key] for key in ("bos_token",) if key in special] + ["$A", *end]
    named = [(special[key], number) for key, number in ids.items() if number is not None and key != "pad_token"]
    encoder.post_processor = processors.TemplateProcessing(single=" ".join(sequence), special_tokens=named)
    return encoder.to_str(), special


def _cleaning_steps(cleaning: TextCleaning) -> list[normalizers.Normalizer]:
    """A cleaning as far as the tokenizers library has it."""
    join: list[normalizers.Normalizer] = [normalizers.Replace(tokenizers.Regex(r"\s+"), " "), normalizers.Strip()]
    lower: list[normalizers.Normalizer] = [normalizers.Lowercase()]
    marks: list[normalizers.Normalizer] = [
        normalizers.Replace(tokenizers.Regex(f"[{re.escape(string.punctuation)}]"), "")
    ]
    steps: dict[TextCleaning, list[normalizers.Normalizer]] = {
        "none": [],
        "lower": [*join, *lower],
        "canonical": [*marks, *join, *lower],
        "lower_case": lower,
        "mended": join,
        "mended_canonical": [normalizers.Replace("_", " "), *marks, *join, *lower],
    }
    return steps[cleaning]


def train_tokenizer(captions: Iterable[str], vocab_size: int, cleaning: TextCleaning = "lower") -> str:
    """The JSON document of a byte-pair tokenizer learned from captions, at most vocab_size ids.

    Ids stand as in OpenAI's vocabulary: 256 bytes, the same at the end of a word, merges by rank, start, end; the end
    has the largest id. The same captions give the same document. Raises TokenizerError where vocab_size is too small.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    at_ends = [byte + END_OF_WORD for byte in alphabet]
    symbols = alphabet + at_ends
    merge_count = vocab_size - len(symbols) - 2
    if merge_count < 0:
        raise TokenizerError(
            f"a vocabulary of {vocab_size} is too small: bytes and ends alone take {vocab_size - merge_count}"
        )
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        show_progress=False,
        initial_alphabet=alphabet,
        special_tokens=at_ends,  # else numbered as they are met, in an order by chance, by which ties are settled
        end_of_word_suffix=END_OF_WORD,
    )
    learner = _byte_pair_encoder({}, [])
    learner.train_from_iterator((clean_text(caption, cleaning) for caption in captions), trainer)
    learnt = json.loads(learner.to_str())["model"]["merges"]
    # The library writes a merge as a pair; a merged symbol may be reached twice and then needs one id only.
    merges = [(left, right) for left, right in learnt][:merge_count]
    vocabulary = {symbol: i for i, symbol in enumerate(dict.fromkeys([*symbols, *(a + b for a, b in merges)]))}
    return byte_pair_document(vocabulary, merges)


def byte_pair_document(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> str:
    """The JSON document of a tokenizer with these symbols and merges; start and end get the next two ids."""
    encoder = _byte_pair_encoder(vocabulary, merges)
    encoder.add_special_tokens([START, END])
    return encoder.to_str()


def _byte_pair_encoder(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> tokenizers.Tokenizer:
    encoder = tokenizers.Tokenizer(models.BPE(vocabulary, merges, end_of_word_suffix=END_OF_WORD))
    split = pre_tokenizers.Split(tokenizers.Regex(WORDS), behavior="removed", invert=True)
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    encoder.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    encoder.decoder = decoders.ByteLevel()
    return encoder
