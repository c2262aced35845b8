"""Collections whose photographs are numbers: a hash, a vector, a size, a moment."""

from __future__ import annotations

import dataclasses

import numpy as np

from clipwright.index.duplicates import DuplicateGroup, DuplicateKind, duplicate_groups
from clipwright.index.photo_columns import PhotoColumns

DIMENSIONS = 64


@dataclasses.dataclass(frozen=True)
class Shot:
    """One photograph of a made-up collection."""

    look: int
    vector: np.ndarray
    size: tuple[int, int] = (4000, 3000)
    taken: float | None = None
    camera: int = -1
    content: int | None = None
    """None: a file like no other."""


class Scenes:
    """Different scenes, by their number, and pictures near to them."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)

    def shot(self) -> Shot:
        vector = self.random.standard_normal(DIMENSIONS)
        return Shot(int(self.random.integers(2**64, dtype=np.uint64)), vector / np.linalg.norm(vector))

    def near(self, shot: Shot, bits: int, moved: float = 0.05) -> Shot:
        """One that differs in so many bits of its hash, and by about so much in its vector (a length)."""
        step = self.random.standard_normal(DIMENSIONS)
        vector = shot.vector + moved * step / np.linalg.norm(step)
        look = shot.look
        for bit in self.random.permutation(64)[:bits].tolist():
            look ^= 1 << bit
        return dataclasses.replace(shot, look=look, vector=vector / np.linalg.norm(vector))


def columns(shots: list[Shot]) -> PhotoColumns:
    """Ids are 1 + place."""
    count = len(shots)
    content = [2**40 + place if shot.content is None else shot.content for place, shot in enumerate(shots)]
    return PhotoColumns(
        ids=np.arange(1, count + 1),
        content=np.array([(number, 0) for number in content], np.uint64).reshape(-1, 2),
        hashes=np.array([shot.look for shot in shots], np.uint64),
        width=np.array([shot.size[0] for shot in shots], np.int32),
        height=np.array([shot.size[1] for shot in shots], np.int32),
        taken=np.array([np.nan if shot.taken is None else shot.taken for shot in shots], np.float64),
        camera=np.array([shot.camera for shot in shots], np.int32),
    )


def vectors_of(shots: list[Shot]) -> np.ndarray:
    return np.array([shot.vector for shot in shots], np.float32)


def groups(shots: list[Shot], kinds: tuple[DuplicateKind, ...] | None = None) -> list[DuplicateGroup]:
    """Of these photographs among 200 different ones that follow them."""
    others = Scenes(99)
    everything = shots + [others.shot() for _ in range(200)]
    vectors = vectors_of(everything)
    if kinds is None:
        return list(duplicate_groups(columns(everything), lambda rows: vectors[rows]))
    return list(duplicate_groups(columns(everything), lambda rows: vectors[rows], kinds))
