from __future__ import annotations

import numpy as np

from clipwright.server.models.text_memory import KnownText, TextMemory


def known(number: float) -> KnownText:
    return KnownText(np.full(100, number, np.float32), 3, 0)


def test_a_text_is_known_in_the_space_in_which_it_was_embedded() -> None:
    memory = TextMemory()
    memory.keep("a", "cat", known(1))
    found = memory.get("a", "cat")
    assert found is not None
    assert found.vector[0] == 1
    assert memory.get("b", "cat") is None
    assert memory.get("a", "dog") is None


def test_the_text_that_was_not_asked_for_longest_is_forgotten_first() -> None:
    memory = TextMemory(most_bytes=3_000)
    for text in ("cat", "dog", "cow"):
        memory.keep("a", text, known(1))
    memory.get("a", "cat")
    memory.keep("a", "hen", known(1))
    assert [memory.get("a", text) is not None for text in ("cat", "dog", "cow", "hen")] == [True, False, True, True]


def test_memory_stays_bounded_whatever_is_remembered() -> None:
    memory = TextMemory(most_bytes=100_000)
    for number in range(500):
        memory.keep("a", "long " * number, known(number))
        assert memory.size <= 100_000
    memory.keep("a", "x" * 200_000, known(1))  # larger than all of it
    assert memory.size == 0


def test_a_row_of_a_batch_does_not_keep_the_batch() -> None:
    memory = TextMemory()
    batch = np.zeros((64, 512), np.float32)
    memory.keep("a", "cat", KnownText(batch[3], 3, 0))
    found = memory.get("a", "cat")
    assert found is not None
    assert found.vector.base is None
