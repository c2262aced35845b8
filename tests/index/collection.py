"""A small collection of made-up photographs in a real database, changed as an indexer would change it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clipwright.index.database import make
from clipwright.index.store import Store, Transaction

SPACE_ID = "feedfacecafebeef"
EMBED_DIM = 24


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)


class Collection:
    """Photographs by id, as the database has them and as plain Python has them."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.database = folder / "photos.db"
        self.generator = np.random.default_rng(seed)
        self._made = 0
        make(self.database)
        self.store = Store.open(self.database)
        self.vectors: dict[int, np.ndarray] = {}
        """(D,) float16"""
        self.facts: dict[int, dict[str, Any]] = {}
        self.captions = unit(self.generator.standard_normal((7, EMBED_DIM))).astype("<f2")
        with self.changing() as change:
            change.connection.execute("INSERT INTO roots (id, path) VALUES (1, ?)", (b"/photos",))
        self.add_space(SPACE_ID)

    @contextlib.contextmanager
    def changing(self) -> Iterator[Transaction]:
        with self.store.writing() as change:
            yield change

    def add_space(self, space_id: str, model: str = "tiny") -> None:
        with self.changing() as change:
            change.connection.execute(
                "INSERT INTO spaces (space_id, model, embed_dim, background) VALUES (?, ?, ?, ?)",
                (space_id, model, EMBED_DIM, self.captions.tobytes()),
            )

    def add(self, count: int, facts: Sequence[Mapping[str, Any]] = (), *, space: int = 1) -> list[int]:
        """Ids of so many new photographs, of which facts says something."""
        vectors = unit(self.generator.standard_normal((count, EMBED_DIM)) + 0.5).astype("<f2")
        ids = []
        with self.changing() as change:
            for row in range(count):
                self._made += 1
                known = {
                    "path": f"/photos/{self._made:06}.jpg".encode(), "taken": None, "camera": None,
                    "lens": None, "latitude": None, "longitude": None, "width": 40, "height": 30,
                    **(facts[row] if row < len(facts) else {}),
                }  # fmt: skip
                (id_,) = change.connection.execute(
                    "INSERT INTO photos (root, path, size, mtime_ns, content_hash, width, height, format, orientation, "
                    "taken, camera, lens, latitude, longitude, serial) "
                    "VALUES (1, :path, 1, 1, x'00', :width, :height, 'JPEG', 1, :taken, :camera, :lens, :latitude, "
                    ":longitude, :serial) RETURNING id",
                    {**known, "serial": change.serial},
                ).fetchone()
                self.facts[id_] = known
                self._put(change, id_, vectors[row], space)
                ids.append(id_)
        return ids

    def replace(self, ids: Sequence[int]) -> None:
        """Other vectors for photographs: their files changed."""
        with self.changing() as change:
            for id_ in ids:
                self._put(change, id_, unit(self.generator.standard_normal(EMBED_DIM)).astype("<f2"), 1)

    def move(self, id_: int, path: bytes) -> None:
        with self.changing() as change:
            change.connection.execute("UPDATE photos SET path = ?, serial = ? WHERE id = ?", (path, change.serial, id_))
        self.facts[id_]["path"] = path

    def remove(self, ids: Sequence[int]) -> None:
        with self.changing() as change:
            for id_ in ids:
                change.connection.execute("DELETE FROM vectors WHERE photo = ?", (id_,))
                change.connection.execute("DELETE FROM photos WHERE id = ?", (id_,))
                change.connection.execute("INSERT INTO gone VALUES (?, ?)", (id_, change.serial))
                del self.vectors[id_], self.facts[id_]

    def _put(self, change: Transaction, id_: int, vector: np.ndarray, space: int) -> None:
        change.connection.execute(
            "INSERT OR REPLACE INTO vectors VALUES (?, ?, 'fast', ?, ?)", (space, id_, vector.tobytes(), change.serial)
        )
        self.vectors[id_] = vector

    def nearest(self, vector: np.ndarray, count: int) -> list[int]:
        """By comparing all."""
        similarity = {id_: float(other.astype(np.float64) @ vector) for id_, other in self.vectors.items()}
        return sorted(similarity, key=lambda id_: (-similarity[id_], id_))[:count]

    def query(self) -> np.ndarray:
        return unit(self.generator.standard_normal(EMBED_DIM))
