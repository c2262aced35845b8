"""What filters ask of photographs, as columns: one row a photograph, matched a million at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clipwright.index.filters import HALF_ROUND_KM, Filters
from clipwright.index.globs import Paths, parse_glob


@dataclass(frozen=True)
class Columns:
    """N photographs. What a file does not say is NaN, of names -1."""

    taken: np.ndarray
    """(N,) float64: seconds of the camera's clock."""
    camera: np.ndarray
    """(N,) int32: a row of cameras."""
    lens: np.ndarray
    place: np.ndarray
    """(N, 3) float64: the point on the unit sphere, so that no meridian and no pole is special."""
    pixels: np.ndarray
    """(N,) int64"""
    paths: Paths
    cameras: tuple[str, ...]
    lenses: tuple[str, ...]

    @classmethod
    def of(cls, rows: Sequence[tuple[Any, ...]]) -> Columns:
        """From rows of (path, taken, camera, lens, latitude, longitude, pixels)."""
        paths, taken, camera, lens, latitude, longitude, pixels = zip(*rows, strict=True) if rows else ((),) * 7
        camera_rows, cameras = _numbered(camera)
        lens_rows, lenses = _numbered(lens)
        place = points(np.array(latitude, np.float64), np.array(longitude, np.float64))
        return cls(
            np.array(taken, np.float64), camera_rows, lens_rows, place, np.array(pixels, np.int64), Paths.of(paths),
            cameras, lenses,
        )  # fmt: skip

    def as_arrays(self) -> dict[str, np.ndarray]:
        """All but cameras and lenses, by names that from_arrays knows."""
        columns = {"taken": self.taken, "camera": self.camera, "lens": self.lens}
        return {**columns, "place": self.place, "pixels": self.pixels, **self.paths.as_arrays()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], cameras: Sequence[str], lenses: Sequence[str]) -> Columns:
        taken, camera, lens, place, pixels = (arrays[name] for name in ("taken", "camera", "lens", "place", "pixels"))
        return cls(taken, camera, lens, place, pixels, Paths.from_arrays(arrays), tuple(cameras), tuple(lenses))

    def matching(self, filters: Filters) -> np.ndarray:
        """(N,) bool: which photographs are what the filters ask for. Raises QueryError where a glob is none."""
        found = np.ones(len(self.taken), bool)
        if filters.after is not None:
            found &= self.taken >= filters.after
        if filters.before is not None:
            found &= self.taken < filters.before
        if filters.camera is not None:
            found &= _named(self.camera, self.cameras, filters.camera)
        if filters.lens is not None:
            found &= _named(self.lens, self.lenses, filters.lens)
        if filters.near is not None:
            latitude, longitude, distance = filters.near
            found &= _within(self.place, points(np.array(latitude), np.array(longitude)), distance)
        if filters.path is not None:
            found &= self.paths.matching(parse_glob(filters.path))
        if filters.min_megapixels is not None:
            found &= self.pixels >= filters.min_megapixels * 1e6
        return found


def points(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Points on the unit sphere, (..., 3) float64, from degrees; NaN where these are."""
    phi, theta = np.radians(latitude), np.radians(longitude)
    return np.stack([np.cos(phi) * np.cos(theta), np.cos(phi) * np.sin(theta), np.sin(phi)], axis=-1)


def _within(place: np.ndarray, centre: np.ndarray, distance: float) -> np.ndarray:
    """Points no further than so many kilometres along the sphere: by the chord, which grows with that distance."""
    angle = min(distance / HALF_ROUND_KM, 1.0) * np.pi
    squares = np.square(place[:, 0] - centre[0])
    squares += np.square(place[:, 1] - centre[1])
    squares += np.square(place[:, 2] - centre[2])
    return np.asarray(squares <= (2 * np.sin(angle / 2)) ** 2 if angle < np.pi else ~np.isnan(squares))


def _named(rows: np.ndarray, names: Sequence[str], part: str) -> np.ndarray:
    wanted = part.strip().casefold()
    holds = np.array([*(wanted in name.casefold() for name in names), False])  # the last is for -1: no name
    return np.asarray(holds[rows])


def _numbered(texts: Sequence[str | None]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Rows of a list of distinct texts, -1 for None."""
    known: dict[str, int] = {}
    rows = [-1 if text is None else known.setdefault(text, len(known)) for text in texts]
    return np.array(rows, np.int32), tuple(known)
