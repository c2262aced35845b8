"""What is known of the photographs of an index, as columns: for work that goes through all of them."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clipwright.index.database import connect, explained

Vectors = Callable[[np.ndarray], np.ndarray]
"""Rows of PhotoColumns (R,) to their unit vectors (R, D) float32; zeros where a photograph has none."""


@dataclass(frozen=True)
class PhotoColumns:
    """What is known of N photographs, a column each."""

    ids: np.ndarray
    """(N,) int64, different ones."""
    content: np.ndarray
    """(N, 2) uint64: the 16 bytes of the content hash."""
    hashes: np.ndarray
    """(N,) uint64 perceptual hashes; 0 where there is none, as for a picture that shows nothing."""
    width: np.ndarray
    """(N,) int32, of the upright picture."""
    height: np.ndarray
    taken: np.ndarray
    """(N,) float64 seconds; NaN: not known."""
    camera: np.ndarray
    """(N,) int32: a number for each camera's name; -1: not known."""

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> PhotoColumns:
        return PhotoColumns(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def read_columns(database: Path) -> PhotoColumns:
    """The columns of all photographs of an index, by id. The file is only read. Raises IndexFileError."""
    names = "id, content_hash, perceptual_hash, width, height, taken, camera"
    cameras: dict[str | None, int] = {None: -1}
    content, rows = bytearray(), []
    try:
        with contextlib.closing(connect(database, writing=False)) as connection:
            for number, whole, look, width, height, taken, camera in connection.execute(
                f"SELECT {names} FROM photos ORDER BY id"
            ):
                content += whole
                when = np.nan if taken is None else taken
                rows.append((number, look or 0, width, height, when, cameras.setdefault(camera, len(cameras) - 1)))
    except sqlite3.Error as error:
        raise explained(error, database) from error
    kinds = [("id", "i8"), ("look", "i8"), ("width", "i4"), ("height", "i4"), ("taken", "f8"), ("camera", "i4")]
    table = np.array(rows, kinds)
    return PhotoColumns(
        ids=table["id"].copy(),
        content=np.frombuffer(bytes(content), np.uint64).reshape(-1, 2),
        hashes=table["look"].copy().view(np.uint64),
        width=table["width"].copy(),
        height=table["height"].copy(),
        taken=table["taken"].copy(),
        camera=table["camera"].copy(),
    )


def aligned_vectors(
    photos: PhotoColumns, vector_ids: np.ndarray, rows: Callable[[np.ndarray], np.ndarray], embed_dim: int
) -> Vectors:
    """Vectors of photos out of a table of vectors in an order of its own: vector_ids (V,) says which row is whose."""
    order = np.argsort(vector_ids)
    if not len(order):
        return lambda indices: np.zeros((len(indices), embed_dim), np.float32)
    places = np.minimum(np.searchsorted(vector_ids, photos.ids, sorter=order), len(order) - 1)
    row_of = np.where(vector_ids[order[places]] == photos.ids, order[places], -1)

    def vectors(indices: np.ndarray) -> np.ndarray:
        wanted = row_of[indices]
        found = np.zeros((len(indices), embed_dim), np.float32)
        found[wanted >= 0] = rows(wanted[wanted >= 0])
        return found

    return vectors
