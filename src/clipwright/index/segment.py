"""A segment: photographs of a space as arrays, in memory or in a derived file."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clipwright.atomic import replacing
from clipwright.index.array_file import ArrayFile, ArrayFileWriter
from clipwright.index.columns import Columns
from clipwright.index.sketch import Projection
from clipwright.index.space_rows import Row, SpaceRows
from clipwright.tasks.relevance import background_statistics

_BLOCK_ROWS = 4096
_LEARNED_ROWS = 16_384
"""Of how many vectors the directions of sketches are learned."""


@dataclass(frozen=True)
class Segment:
    """R photographs, by id."""

    ids: np.ndarray
    """(R,) int64, rising."""
    vectors: np.ndarray
    """(R, D) float16"""
    background: np.ndarray
    """(R, K) float32: tasks.relevance.background_statistics."""
    columns: Columns
    sketches: tuple[np.ndarray, np.ndarray] | None
    """Heads and tails (sketch.py), where the space is large enough to need them."""
    hides: np.ndarray
    """(H,) int64, rising: photographs that segments before this one no longer speak of."""

    def rows_of(self, ids: np.ndarray) -> np.ndarray:
        """Rows of those of these ids (rising) that are here."""
        rows = np.searchsorted(self.ids, ids)
        inside = rows < len(self.ids)
        rows, ids = rows[inside], ids[inside]
        return np.asarray(rows[self.ids[rows] == ids])

    @classmethod
    def of(cls, opened: ArrayFile) -> Segment:
        """From a file that write_segment wrote."""
        arrays, facts = opened.arrays, opened.facts
        columns = Columns.from_arrays(arrays, facts["cameras"], facts["lenses"])
        sketches = (arrays["heads"], arrays["tails"]) if "heads" in arrays else None
        return cls(arrays["ids"], arrays["vectors"], arrays["background"], columns, sketches, arrays["hides"])


def segment_in_memory(space: SpaceRows, since: int | None, hides: np.ndarray, projection: Projection | None) -> Segment:
    """What changed after a serial, or all."""
    blocks, ids, columns = [], [], []
    for block_ids, vectors, block_columns in _blocks(space, since):
        ids.extend(block_ids)
        blocks.append(vectors)
        columns.extend(block_columns)
    vectors = np.concatenate(blocks) if blocks else np.empty((0, space.embed_dim), np.float16)
    return Segment(
        np.array(ids, np.int64), vectors, background_statistics(vectors, space.background), Columns.of(columns),
        projection.sketch(vectors) if projection else None, hides,
    )  # fmt: skip


def write_segment(
    path: Path,
    space: SpaceRows,
    facts: dict[str, Any],
    *,
    since: int | None,
    hides: np.ndarray,
    projection: Projection | None = None,
    learn_above: int | None = None,
) -> None:
    """Writes what changed after a serial, or all, to a file that appears whole or not at all.

    Sketches are made by the projection; or, of more rows than learn_above, by one that is learned of them and kept in
    the file. Of the vectors, no more than a block is held in memory. Raises OSError where the disk refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    ids: list[int] = []
    columns: list[Row] = []
    with replacing(path) as temporary, ArrayFileWriter(temporary) as writer:
        statistics = []
        writer.begin("vectors", "<f2", (space.embed_dim,))
        for block_ids, vectors, block_columns in _blocks(space, since):
            ids.extend(block_ids)
            columns.extend(block_columns)
            statistics.append(background_statistics(vectors, space.background))
            writer.append(vectors)
        writer.flush()
        shape = (len(ids), space.embed_dim)
        if projection is None and learn_above is not None and len(ids) > learn_above:
            chosen = np.unique(np.linspace(0, len(ids) - 1, _LEARNED_ROWS).astype(np.int64))
            sample = np.memmap(temporary, "<f2", "r", shape=shape)[chosen].astype(np.float32)
            projection = Projection.of(sample)
            writer.add({"mean": projection.mean, "directions": projection.directions})
        if projection is not None:
            sketches = [projection.sketch(vectors) for vectors in _read_again(temporary, shape)]
            nothing = projection.sketch(np.empty((0, space.embed_dim), np.float16))
            for name, parts in zip(("heads", "tails"), zip(nothing, *sketches, strict=True), strict=True):
                writer.add({name: np.concatenate(parts)})
        described = Columns.of(columns)
        empty = background_statistics(np.empty((0, space.embed_dim), np.float32), space.background)
        writer.add(described.as_arrays())
        writer.add({
            "ids": np.array(ids, np.int64), "background": np.concatenate(statistics or [empty]), "hides": hides,
        })  # fmt: skip
        writer.finish({**facts, "cameras": described.cameras, "lenses": described.lenses})


def projection_of(opened: ArrayFile) -> Projection | None:
    """What the sketches of a file were made by, where it learned it."""
    if "directions" not in opened.arrays:
        return None
    return Projection(opened.arrays["mean"], opened.arrays["directions"])


def _blocks(space: SpaceRows, since: int | None) -> Iterator[tuple[list[int], np.ndarray, list[Row]]]:
    """Ids, vectors (R, D) float16, and what Columns.of takes."""
    rows = space.rows(since)
    while block := list(itertools.islice(rows, _BLOCK_ROWS)):
        vectors = np.frombuffer(b"".join(row[1] for row in block), "<f2").reshape(len(block), space.embed_dim)
        yield [row[0] for row in block], vectors, [row[2:] for row in block]


def _read_again(path: Path, shape: tuple[int, int]) -> Iterator[np.ndarray]:
    """The vectors at the beginning of a file, read block by block: mapping them would hold them all in memory."""
    with path.open("rb") as file:
        for start in range(0, shape[0], _BLOCK_ROWS):
            count = min(_BLOCK_ROWS, shape[0] - start)
            yield np.frombuffer(file.read(count * shape[1] * 2), "<f2").reshape(count, shape[1])
