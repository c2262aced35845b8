"""Packed texts hold every different beginning once, and give the features of texts that are padded."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clipwright.graph.packing import fewer_shapes, pack_texts


def test_what_texts_have_in_common_stands_once() -> None:
    ids = np.array([[9, 1, 2, 8, 0], [9, 1, 3, 4, 8], [9, 1, 2, 8, 7]])
    packed = pack_texts(ids, np.array([3, 4, 3]))
    assert sorted(packed["tokens"]) == [1, 2, 3, 4, 8, 8, 9]
    assert packed["nodes"][0].tolist()[:4] == packed["nodes"][2].tolist()[:4]
    assert packed["nodes"].shape == (3, 5)


@given(
    st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=6), min_size=1, max_size=12),
    st.integers(0, 3),
)
def test_every_token_finds_itself_and_what_stands_before_it(texts: list[list[int]], padding: int) -> None:
    length = max(map(len, texts)) + padding
    ids = np.full((len(texts), length), 5)
    for number, text in enumerate(texts):
        ids[number, : len(text)] = text
    packed = pack_texts(ids, np.array([len(text) - 1 for text in texts]))
    count = len(packed["tokens"])
    beginnings = {tuple(text[: place + 1]) for text in texts for place in range(len(text))}
    assert count == len(beginnings)
    assert packed["nodes"].shape == (len(texts), max(map(len, texts)))
    flat = packed["nodes"].reshape(-1)
    assert flat[packed["chosen"]].tolist() == list(range(count))
    for row, text in enumerate(texts):
        nodes = packed["nodes"][row, : len(text)]
        assert packed["tokens"][nodes].tolist() == text
        assert packed["places"][nodes].tolist() == list(range(len(text)))


@given(
    st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=20), min_size=1, max_size=70),
    st.integers(20, 30),
)
def test_rounding_shapes_up_changes_no_text(texts: list[list[int]], context_length: int) -> None:
    length = max(map(len, texts))
    ids = np.full((len(texts), length), 5)
    for number, text in enumerate(texts):
        ids[number, : len(text)] = text
    packed = fewer_shapes(pack_texts(ids, np.array([len(text) - 1 for text in texts])), context_length)
    assert length <= packed["nodes"].shape[1] <= context_length
    assert len(packed["nodes"]) == len(packed["ends"]) <= max(8, len(texts) * 1.25)
    assert len(packed["tokens"]) == len(packed["places"]) == len(packed["chosen"])
    flat = packed["nodes"].reshape(-1)
    assert sorted(set(flat[packed["chosen"]])) == list(range(flat.max() + 1))
    for row, text in enumerate(texts):
        nodes = packed["nodes"][row, : len(text)]
        assert packed["tokens"][nodes].tolist() == text
        assert packed["places"][nodes].tolist() == list(range(len(text)))
        assert packed["ends"][row] == len(text) - 1


def test_texts_of_all_numbers_and_lengths_come_in_few_shapes() -> None:
    shapes: dict[str, set[tuple[int, ...]]] = {}
    for texts, length in itertools.product(range(1, 65), range(2, 78)):
        for tokens in (length, texts + length, texts * length // 2 + length, texts * length):
            by_token = dict.fromkeys(("tokens", "places", "chosen"), np.zeros(tokens, np.int64))
            nodes, ends = np.zeros((texts, length), np.int64), np.zeros(texts, np.int64)
            for name, array in fewer_shapes({**by_token, "nodes": nodes, "ends": ends}, 77).items():
                shapes.setdefault(name, set()).add(array.shape)
    assert len(shapes["nodes"]) <= 20 * 10
    assert len(shapes["tokens"]) <= 64 * 77 / 16
