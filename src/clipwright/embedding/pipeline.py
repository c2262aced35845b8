"""Sources in, vectors or failures out, in order: decoding ahead on threads while the model runs."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from clipwright.errors import Failure

Source = TypeVar("Source")
Item = TypeVar("Item")
"""What becomes of a source before a model sees it: a square, or more than that."""
EmbedSquares = Callable[[np.ndarray], np.ndarray]
"""(B, S, S, 3) uint8 to (B, D) float32; rows that are not finite are no vectors."""


def stream_prepared(
    sources: Iterable[Source],
    prepare: Callable[[Source], Item | Failure],
    square_of: Callable[[Item], np.ndarray | None],
    embed: EmbedSquares,
    batch_size: int,
    threads: int,
) -> Iterator[tuple[Source, Item | Failure, np.ndarray | None]]:
    """(source, what it was prepared to, vector) for every source, in order.

    square_of gives the (S, S, 3) uint8 of an item; where it gives None, for a Failure, and where embed gives a row that
    is not finite, the vector is None.
    At most three batches of sources are held at once, however many there are: two being prepared, one being embedded.
    What one takes while it is opened is bounded by inputs/memory.py.
    """
    remaining = iter(sources)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="prepare")
    waiting: collections.deque[tuple[Source, Future[Item | Failure]]] = collections.deque()
    try:
        while True:
            for source in itertools.islice(remaining, 2 * batch_size - len(waiting)):
                waiting.append((source, pool.submit(prepare, source)))
            if not waiting:
                return
            now = [waiting.popleft() for _ in range(min(batch_size, len(waiting)))]
            prepared = [(source, future.result()) for source, future in now]
            for source in itertools.islice(remaining, batch_size):
                waiting.append((source, pool.submit(prepare, source)))
            squares = [None if isinstance(item, Failure) else square_of(item) for _, item in prepared]
            present = [square for square in squares if square is not None]
            vectors: Iterator[np.ndarray] = iter(embed(np.stack(present)) if present else ())
            for (source, item), square in zip(prepared, squares, strict=True):
                vector = None if square is None else next(vectors)
                yield source, item, vector if vector is not None and np.isfinite(vector).all() else None
    finally:
        pool.shutdown(cancel_futures=True)
