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
Prepare = Callable[[Source], "np.ndarray | Failure"]
"""One source to (S, S, 3) uint8, or why not."""
EmbedSquares = Callable[[np.ndarray], np.ndarray]
"""(B, S, S, 3) uint8 to (B, D) float32."""


def stream_vectors(
    sources: Iterable[Source], prepare: Prepare[Source], embed: EmbedSquares, batch_size: int, threads: int
) -> Iterator[tuple[Source, np.ndarray | Failure]]:
    """(source, vector or Failure) for every source, in order.

    At most three batches of sources are held at once, however many there are: two being prepared, one being embedded.
    """
    remaining = iter(sources)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="prepare")
    waiting: collections.deque[tuple[Source, Future[np.ndarray | Failure]]] = collections.deque()
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
            squares = [square for _, square in prepared if isinstance(square, np.ndarray)]
            vectors = iter(embed(np.stack(squares)) if squares else ())
            for source, square in prepared:
                yield source, square if isinstance(square, Failure) else next(vectors)
    finally:
        pool.shutdown(cancel_futures=True)
