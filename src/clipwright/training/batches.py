"""Batches, made ahead by threads while the model trains on the one before."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from clipwright.errors import DatasetError, ImageError
from clipwright.inputs.images import open_image
from clipwright.inputs.tokenizer import Tokenizer
from clipwright.training.augment import augment
from clipwright.training.colours import draw_colour_factors
from clipwright.training.plan import Plan
from clipwright.training.recipe import AugmentRecipe
from clipwright.training.sources import Caption, Source

_AHEAD = 2
"""Batches that are made before they are asked for."""
_PIECE = 32
"""Samples that one thread makes at a time."""
_MOST_STAND_INS = 20


@dataclass(frozen=True)
class Batch:
    """What one step trains on."""

    squares: np.ndarray
    """(B, S, S, 3) uint8."""
    colour_factors: np.ndarray
    """(B, 6) float32: the changes of colour that the step makes."""
    tokens: np.ndarray
    """(B, L) int64."""
    ends: np.ndarray
    """(B,) int64: where each text ends."""
    matches: np.ndarray
    """(B, B) bool: whether the caption of the column is true of the picture of the row."""
    broken: tuple[str, ...]
    """Samples that could not be read, each with its reason; others stood in for them."""


@dataclass(frozen=True)
class _Sample:
    square: np.ndarray  # (S, S, 3) uint8
    colour_factors: np.ndarray  # (6,) float32
    caption: Caption
    true_names: frozenset[str]
    broken: tuple[str, ...]


class BatchMaker:
    """Makes the batch of any step: the same for the same plan, sources and recipe, whatever came before."""

    def __init__(self, sources: list[Source], plan: Plan, recipe: AugmentRecipe, tokenizer: Tokenizer) -> None:
        self._sources = sources
        self._plan = plan
        self._recipe = recipe
        self._tokenizer = tokenizer

    def stream(self, sizes: list[int], first_step: int, workers: int) -> Generator[Batch, None, None]:
        """The batches of steps first_step to len(sizes) - 1, step k at picture size sizes[k], made ahead."""
        steps = iter(range(first_step, len(sizes)))
        waiting: collections.deque[Future[Batch]] = collections.deque()
        pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
        try:
            for step in itertools.islice(steps, _AHEAD):
                waiting.append(self._submit(pool, step, sizes[step]))
            while waiting:
                batch = waiting.popleft().result()
                for step in itertools.islice(steps, 1):
                    waiting.append(self._submit(pool, step, sizes[step]))
                yield batch
        finally:
            pool.shutdown(cancel_futures=True)

    def _submit(self, pool: ThreadPoolExecutor, step: int, size: int) -> Future[Batch]:
        places = self._plan.places(step)
        pieces = [
            pool.submit(self._make_piece, step, start, places[start : start + _PIECE], size)
            for start in range(0, len(places), _PIECE)
        ]
        # Threads take work in order, so the pieces are made or being made when a thread begins to wait for them.
        return pool.submit(self._assemble, pieces)

    def _make_piece(self, step: int, start: int, places: list[tuple[int, int]], size: int) -> list[_Sample]:
        return [
            self._make_sample(step, place, source, position, size)
            for place, (source, position) in enumerate(places, start)
        ]

    def _make_sample(self, step: int, place: int, source_number: int, position: int, size: int) -> _Sample:
        source = self._sources[source_number]
        random = self._plan.random(step, place)
        broken: list[str] = []
        for attempt in range(_MOST_STAND_INS):
            row = int(source.rows[position])
            try:
                image = open_image(source.images.image(row))
            except (ImageError, OSError) as error:
                broken.append(f"{source.images.name(row)}: {error}")
                position = self._plan.stand_in(source_number, step, place, attempt)
                continue
            caption = source.captions.draw(row, random)
            square = augment(image, size, self._recipe, source.squeezed_from, random, self._tokenizer.spec)
            factors = draw_colour_factors(self._recipe, random)
            return _Sample(square, factors, caption, source.captions.true_names(row), tuple(broken))
        raise DatasetError(f"{_MOST_STAND_INS} broken samples in a row, the last {broken[-1]}; is the data complete?")

    def _assemble(self, pieces: list[Future[list[_Sample]]]) -> Batch:
        samples = [sample for piece in pieces for sample in piece.result()]
        tokens = self._tokenizer.encode([sample.caption.text for sample in samples])
        return Batch(
            squares=np.stack([sample.square for sample in samples]),
            colour_factors=np.stack([sample.colour_factors for sample in samples]),
            tokens=tokens.ids,
            ends=tokens.ends,
            matches=_matches(samples),
            broken=tuple(reason for sample in samples for reason in sample.broken),
        )


def _matches(samples: list[_Sample]) -> np.ndarray:
    columns: dict[str, list[int]] = collections.defaultdict(list)
    for column, sample in enumerate(samples):
        if sample.caption.name is not None:
            columns[sample.caption.name].append(column)
    matches = np.eye(len(samples), dtype=bool)
    for row, sample in enumerate(samples):
        for name in sample.true_names:
            matches[row, columns.get(name, [])] = True
    return matches
