"""Which sample fills which place of which batch: a pure function of (seed, step), whatever was read before.

Every source gives the same number of places in every batch, as near to its weight as whole numbers allow, and goes
through its samples in a new random order each time it has used all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from clipwright.errors import RecipeError
from clipwright.training.sources import Source

_PERMUTATION, _PLACE, _STAND_IN = 1, 2, 3
"""Streams of random numbers that must not meet."""


class Plan:
    """Which sample, and which random numbers, every place of every batch gets."""

    def __init__(self, sources: Sequence[Source], batch_size: int, seed: int) -> None:
        self._sizes = [len(source) for source in sources]
        self._quotas = _quotas([source.weight for source in sources], batch_size)
        self._seed = seed
        self._order = functools.lru_cache(maxsize=2 * len(sources))(self._permutation)

    def places(self, step: int) -> list[tuple[int, int]]:
        """(source, position among its samples) for every place of the batch of this step, counted from 0."""
        places = []
        for source, (size, quota) in enumerate(zip(self._sizes, self._quotas, strict=True)):
            for draw in range(step * quota, (step + 1) * quota):
                pass_number, offset = divmod(draw, size)
                places.append((source, int(self._order(source, pass_number)[offset])))
        return places

    def random(self, step: int, place: int) -> np.random.Generator:
        """The random numbers by which this place's caption is drawn and its picture varied."""
        return np.random.default_rng([self._seed, _PLACE, step, place])

    def stand_in(self, source: int, step: int, place: int, attempt: int) -> int:
        """The position that replaces a broken sample of this source; attempt counts from 0."""
        random = np.random.default_rng([self._seed, _STAND_IN, step, place, attempt])
        return int(random.integers(self._sizes[source]))

    def _permutation(self, source: int, pass_number: int) -> np.ndarray:
        random = np.random.default_rng([self._seed, _PERMUTATION, source, pass_number])
        return random.permutation(self._sizes[source])


def _quotas(weights: Sequence[float], batch_size: int) -> list[int]:
    """Places of a batch for every weight: whole, summing to batch_size, none without a place (largest remainder)."""
    shares = [weight / sum(weights) * batch_size for weight in weights]
    quotas = [int(share) for share in shares]
    by_remainder = sorted(range(len(shares)), key=lambda i: quotas[i] - shares[i])
    for i in by_remainder[: batch_size - sum(quotas)]:
        quotas[i] += 1
    if min(quotas) == 0:
        raise RecipeError(
            f"source {quotas.index(0) + 1} has too small a weight for one place in a batch of {batch_size}; "
            "raise its weight or training.batch_size"
        )
    return quotas
