from __future__ import annotations

import dataclasses
import html
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import ftfy
import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from clipwright.errors import TokenizerError
from clipwright.inputs.input_spec import InputSpec, TextCleaning
from clipwright.inputs.tokenizer import Tokenizer, clean_text, document_that_cleans, end_ids, train_tokenizer

CAPTIONS = ["a photo of a cat", "a photo of a dog", "two dogs run on the grass", "it's a cat's life", "a red car"] * 3
DOCUMENT = train_tokenizer(CAPTIONS, 600)


def tokenizer(document: str = DOCUMENT, **changes: Any) -> Tokenizer:
    start, end = end_ids(document)
    values: dict[str, Any] = {"image_size": 8, "context_length": 16, "start_id": start, "end_id": end, "pad_id": 0}
    return Tokenizer(document, InputSpec(**(values | changes)))


def ids(text: str, **changes: Any) -> list[int]:
    """The ids of one text without its start and end."""
    tokens = tokenizer(**{"context_length": 1000, **changes}).encode([text])
    return [int(number) for number in tokens.ids[0, 1 : tokens.ends[0]]]


def random_captions() -> list[str]:
    """Captions in which many pairs of letters are equally frequent, so that ties decide what is learned."""
    chance = random.Random(0)
    words = ["".join(chance.choices("abcdefgh", k=chance.randrange(1, 7))) for _ in range(800)]
    return [" ".join(chance.choices(words, k=8)) for _ in range(300)]


# What is learned


def test_the_same_captions_give_the_same_document() -> None:
    captions = random_captions()
    assert len({train_tokenizer(captions, 900) for _ in range(5)}) == 1


def test_the_same_captions_give_the_same_document_in_another_process() -> None:
    code = (
        "import hashlib; from clipwright.inputs.tokenizer import train_tokenizer;"
        "from tests.inputs.test_tokenizer import random_captions;"
        "print(hashlib.sha256(train_tokenizer(random_captions(), 900).encode()).hexdigest())"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", code]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True, cwd=root) for _ in range(2)]
    assert runs[0].stdout == runs[1].stdout


@pytest.mark.parametrize("vocab_size", [514, 515, 560, 600, 900])
def test_start_and_end_are_the_last_two_ids_and_end_the_largest(vocab_size: int) -> None:
    document = train_tokenizer(random_captions(), vocab_size)
    size = tokenizer(document).vocab_size
    assert size <= vocab_size
    assert end_ids(document) == (size - 2, size - 1)


def test_as_many_ids_are_learned_as_were_asked_for() -> None:
    assert tokenizer(train_tokenizer(random_captions(), 900)).vocab_size == 900


def test_few_captions_give_a_smaller_vocabulary() -> None:
    assert 514 < tokenizer(train_tokenizer(["a cat"], 10_000)).vocab_size < 520


def test_no_captions_give_bytes_alone() -> None:
    assert end_ids(train_tokenizer([], 600)) == (512, 513)


def test_ids_begin_with_the_bytes_as_in_the_vocabulary_of_openai() -> None:
    """There '!' is 0, 'a' is 64, and the same at the end of a word is 256 more."""
    bytes_alone = train_tokenizer([], 514)
    assert [ids("!", document=bytes_alone), ids("a", document=bytes_alone)] == [[256], [64 + 256]]
    assert ids("ab", document=bytes_alone) == [64, 65 + 256]


def test_a_learned_word_is_one_token() -> None:
    assert len(ids("photo")) == 1
    assert len(ids("quokka")) > 1


def test_words_are_split_as_openai_splits_them() -> None:
    assert ids("it's 42!") == [*ids("it"), *ids("'s"), *ids("4"), *ids("2"), *ids("!")]


def test_special_words_in_captions_do_not_disturb_the_learning() -> None:
    start, end = end_ids(train_tokenizer([*CAPTIONS, "<|endoftext|> <|startoftext|> </w>"], 600))
    assert end == start + 1


@pytest.mark.parametrize("vocab_size", [513, 1, 0, -5])
def test_a_vocabulary_too_small_for_bytes_and_ends_is_refused(vocab_size: int) -> None:
    with pytest.raises(TokenizerError, match=f"{vocab_size} is too small.*514"):
        train_tokenizer(CAPTIONS, vocab_size)


# Texts to ids

HALVES = st.integers(0xD800, 0xDFFF).map(chr)
ANY_TEXT = st.lists(st.characters() | HALVES, max_size=60).map("".join)
"""Half characters (surrogates) too: file names that are not UTF-8 hold them."""


@pytest.mark.parametrize("cleaning", ["none", "lower"])
@given(text=ANY_TEXT)
@settings(derandomize=True, database=None, max_examples=300)
def test_every_text_gets_ids(text: str, cleaning: str) -> None:
    tokens = tokenizer(context_length=400, text_cleaning=cleaning).encode([text])
    start, end = end_ids(DOCUMENT)
    row = tokens.ids[0]
    assert (row[0], row[tokens.ends[0]]) == (start, end)
    assert 0 <= row.min() <= row.max() == end


@pytest.mark.parametrize(
    "text", ["😀", "草地上的狗", "Füße", "ﬁ", "\x01\x7f", "\0", "́", "👨‍👩‍👧", "\ud83d", "\udcff.jpg"]
)
def test_no_character_is_lost_without_cleaning(text: str) -> None:
    assert len(ids(text, text_cleaning="none")) >= len(text)


@given(st.lists(ANY_TEXT, max_size=5))
@settings(derandomize=True, database=None, max_examples=100)
def test_a_batch_gives_each_text_what_it_gets_alone(texts: list[str]) -> None:
    encoder = tokenizer()
    together = encoder.encode(texts)
    for row, end, dropped, text in zip(together.ids, together.ends, together.dropped, texts, strict=True):
        alone = encoder.encode([text])
        assert row[: end + 1].tolist() == alone.ids[0].tolist()
        assert dropped == alone.dropped[0]


def test_an_empty_text_is_start_and_end() -> None:
    tokens = tokenizer().encode([""])
    assert tokens.ids.tolist() == [list(end_ids(DOCUMENT))]
    assert tokens.ends.tolist() == [1]


def test_an_empty_batch_has_no_rows() -> None:
    tokens = tokenizer().encode([])
    assert (len(tokens.ids), len(tokens.ends), tokens.dropped) == (0, 0, ())


def test_a_text_too_long_keeps_its_end_and_tells_what_was_dropped() -> None:
    words = "cat dog cat dog cat dog cat dog cat dog"
    whole = ids(words)
    tokens = tokenizer(context_length=6).encode([words, "a cat"])
    start, end = end_ids(DOCUMENT)
    assert tokens.ids[0].tolist() == [start, *whole[:4], end]
    assert tokens.ends.tolist() == [5, 3]
    assert tokens.dropped == (len(whole) - 4, 0)


def test_a_text_that_just_fits_is_not_cut() -> None:
    words = "cat dog cat dog"
    tokens = tokenizer(context_length=len(ids(words)) + 2).encode([words])
    assert tokens.dropped == (0,)


def test_padding_longest_goes_to_the_longest_text() -> None:
    tokens = tokenizer(padding="longest", pad_id=7).encode(["cat", "a photo of a cat"])
    assert tokens.ids.shape == (2, tokens.ends.max() + 1)
    assert (tokens.ids[0, tokens.ends[0] + 1 :] == 7).all()
    assert tokens.ids.dtype == tokens.ends.dtype == np.int64


def test_padding_context_goes_to_the_whole_context() -> None:
    tokens = tokenizer(padding="context", pad_id=7, context_length=20).encode(["cat", "a photo of a cat"])
    assert tokens.ids.shape == (2, 20)
    assert all((row[end + 1 :] == 7).all() for row, end in zip(tokens.ids, tokens.ends, strict=True))


def test_padding_on_the_left_moves_texts_to_the_end_of_their_rows() -> None:
    texts = ["a cat", "", "a red car " * 30]
    right = tokenizer(padding="context").encode(texts)
    left = tokenizer(padding="context", padding_side="left").encode(texts)
    assert left.ends.tolist() == [15, 15, 15]
    assert (left.ends + 1 - left.starts).tolist() == (right.ends + 1 - right.starts).tolist() == [4, 2, 16]
    for row, start, other, end in zip(left.ids, left.starts, right.ids, right.ends, strict=True):  # type: ignore[arg-type]
        assert row[start:].tolist() == other[: end + 1].tolist()
        assert not row[:start].any()


def test_a_text_may_be_cut_at_its_start() -> None:
    text = "a photo of a cat on the grass"
    whole = ids(text)
    tokens = tokenizer(context_length=6, truncation_side="left").encode([text])
    assert tokens.ids[0, 1:5].tolist() == whole[-4:]
    assert tokens.dropped == (len(whole) - 4,)


def test_padding_does_not_change_where_texts_end() -> None:
    texts = ["cat", "", "a photo of a cat"]
    longest, context = (tokenizer(padding=padding).encode(texts) for padding in ("longest", "context"))
    assert longest.ends.tolist() == context.ends.tolist()


# Cleaning


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("A CAT", "a cat"),
        ("  a \t\n cat\u00a0\u3000", "a cat"),
        ("salt &amp; pepper", "salt & pepper"),
        ("salt &amp;amp; pepper", "salt & pepper"),
        ("&lt;b&gt;", "<b>"),
        ("schÃ¶n", "schön"),
        ("“quoted”", '"quoted"'),
        ("ﬁne", "fine"),
        ("ＦＵＬＬ", "full"),
        ("ÉCOLE", "école"),
    ],
)
def test_texts_are_cleaned_as_openai_cleans_them(text: str, cleaned: str) -> None:
    assert clean_text(text, "lower") == cleaned


@pytest.mark.parametrize(
    ("cleaning", "cleaned"),
    [
        ("canonical", "beachsunset its amp 5 oclock schã¶n"),
        ("lower_case", "  beach_sunset:\tit's  &amp; 5 o'clock, schã¶n!"),
        ("mended", "Beach_Sunset: it's & 5 o'clock, schön!"),
        ("mended_canonical", "beach sunset its 5 oclock schön"),
    ],
)
def test_each_maker_cleans_in_its_own_way(cleaning: TextCleaning, cleaned: str) -> None:
    """As SiglipTokenizer and Siglip2Tokenizer of transformers 5.23, and open_clip's 'whitespace' and 'canonicalize'."""
    assert clean_text("  Beach_Sunset:\tit's  &amp; 5 o'clock, schÃ¶n!", cleaning) == cleaned


@pytest.mark.parametrize("cleaning", get_args(TextCleaning))
def test_a_document_that_cleans_does_what_cleaning_does(cleaning: TextCleaning) -> None:
    spec = dataclasses.replace(tokenizer().spec, text_cleaning=cleaning, context_length=1000)
    document, _ = document_that_cleans(DOCUMENT, spec)
    text = "  Beach_Sunset:\tit's 5  O'CLOCK, schön! "
    theirs = tokenizers.Tokenizer.from_str(document).encode(text).ids
    assert theirs == Tokenizer(DOCUMENT, spec).encode([text]).ids[0].tolist()


@pytest.mark.parametrize("text", ["  A  CAT ", "salt &amp; pepper", "schÃ¶n", "“ﬁne”", "", "😀"])
def test_cleaning_none_leaves_a_text_as_it_is(text: str) -> None:
    assert clean_text(text, "none") == text


@pytest.mark.parametrize("cleaning", ["none", "lower", "lower_case", "mended"])
def test_half_a_character_becomes_the_sign_for_an_unknown_one(cleaning: str) -> None:
    assert clean_text("a\udcffb", cleaning) == "a\ufffdb"


def test_spelling_that_is_cleaned_away_does_not_change_the_ids() -> None:
    assert ids("  A   Photo OF a&nbsp;cat ") == ids("a photo of a cat")


# The document


def test_a_document_gives_the_same_ids_after_being_stored() -> None:
    before = tokenizer()
    after = tokenizer(before.document.encode().decode())
    texts = [*CAPTIONS, "草地上的狗 😀", "<|endoftext|> inside"]
    np.testing.assert_array_equal(before.encode(texts).ids, after.encode(texts).ids)


@pytest.mark.parametrize(
    "document", ["", "no json", "null", "[]", "{}", DOCUMENT[: len(DOCUMENT) // 2], DOCUMENT.replace('"BPE"', '"XYZ"')]
)
def test_a_damaged_document_is_refused(document: str) -> None:
    with pytest.raises(TokenizerError, match="cannot be read"):
        Tokenizer(document, tokenizer().spec)
    with pytest.raises(TokenizerError, match="cannot be read"):
        end_ids(document)


def test_a_document_without_start_and_end_is_refused() -> None:
    with pytest.raises(TokenizerError, match="lacks"):
        end_ids(DOCUMENT.replace("<|endoftext|>", "<|stop|>"))


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_plain_letters_need_no_mending(text: str) -> None:
    assert clean_text(text, "mended") == re.sub(r"\s+", " ", html.unescape(html.unescape(ftfy.fix_text(text)))).strip()
