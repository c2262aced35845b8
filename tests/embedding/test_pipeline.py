"""Vectors come in the order of their sources, however long each takes, and no more is read than is worked on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from clipwright.embedding.pipeline import stream_prepared
from clipwright.errors import Failure


def square(number: int) -> np.ndarray:
    return np.full((1, 1, 3), number, np.uint8)


def first_values(squares: np.ndarray) -> np.ndarray:
    return squares[:, 0, 0, :1].astype(np.float32)


def prepare_odd(number: int) -> np.ndarray | Failure:
    return square(number) if number % 2 else Failure(number, "unreadable", "even")


def stream(
    sources: Iterator[int], batch_size: int = 4, prepare: Callable[[int], np.ndarray | Failure] = square
) -> Iterator[tuple[int, np.ndarray | Failure]]:
    for source, item, vector in stream_prepared(sources, prepare, np.asarray, first_values, batch_size, threads=3):
        assert isinstance(item, Failure) == (vector is None)
        yield source, item if vector is None else vector


def value(result: np.ndarray | Failure) -> float | None:
    return None if isinstance(result, Failure) else float(result[0])


def preparing_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("prepare")]


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 9, 100])
def test_every_source_gets_its_vector_in_order(count: int) -> None:
    results = [(source, value(result)) for source, result in stream(iter(range(count)))]
    assert results == [(number, number) for number in range(count)]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 64])
def test_failures_stand_in_their_places_and_shift_no_vector(batch_size: int) -> None:
    results = [(source, value(result)) for source, result in stream(iter(range(40)), batch_size, prepare_odd)]
    assert results == [(number, number if number % 2 else None) for number in range(40)]


def test_what_is_not_finite_is_no_vector_and_shifts_none() -> None:
    def embed(squares: np.ndarray) -> np.ndarray:
        vectors = first_values(squares)
        vectors[vectors % 3 == 0] = np.nan
        return vectors

    results = list(stream_prepared(iter(range(10)), square, np.asarray, embed, batch_size=4, threads=2))
    found = {source: None if vector is None else float(vector[0]) for source, _, vector in results}
    assert found == {number: float(number) if number % 3 else None for number in range(10)}


def test_a_batch_of_failures_only_is_not_embedded() -> None:
    def refuse(squares: np.ndarray) -> np.ndarray:
        raise AssertionError("called without pictures")

    failure = Failure("a", "missing", "no such file")
    results = list(stream_prepared(iter("abc"), lambda _: failure, np.asarray, refuse, batch_size=2, threads=2))
    assert results == [(name, failure, None) for name in "abc"]


def test_a_slow_source_keeps_its_place() -> None:
    others_done = threading.Event()

    def wait_for_last(number: int) -> np.ndarray:
        if number == 0:
            assert others_done.wait(timeout=30)
        if number == 3:
            others_done.set()
        return square(number)

    assert [source for source, _ in stream(iter(range(4)), 4, wait_for_last)] == [0, 1, 2, 3]


def test_at_most_three_batches_are_read_ahead() -> None:
    read = 0

    def endless() -> Iterator[int]:
        nonlocal read
        while True:
            read += 1
            yield read % 100

    results = stream(endless(), batch_size=5)
    for consumed in range(60):
        assert read - consumed <= 3 * 5
        next(results)
    results.close()  # type: ignore[attr-defined]


def test_the_threads_end_with_the_stream() -> None:
    list(stream(iter(range(20))))
    assert not preparing_threads()


def test_the_threads_end_when_the_stream_is_left_early() -> None:
    results = stream(iter(range(100)))
    next(results)
    assert preparing_threads()
    results.close()  # type: ignore[attr-defined]
    assert not preparing_threads()


def test_an_error_of_the_sources_comes_out_and_ends_the_threads() -> None:
    def broken() -> Iterator[int]:
        yield from range(3)
        raise OSError("the list of pictures was cut off")

    with pytest.raises(OSError, match="cut off"):
        list(stream(broken()))
    assert not preparing_threads()


def test_an_error_of_preparing_comes_out_and_ends_the_threads() -> None:
    def fail(number: int) -> np.ndarray:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(stream(iter(range(30)), prepare=fail))
    assert not preparing_threads()
