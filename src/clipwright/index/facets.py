"""What a collection can be narrowed down by: its cameras, its years, the places where its photographs were taken."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass

import numpy as np

from clipwright.index.filters import HALF_ROUND_KM
from clipwright.index.vector_table import VectorTable

MOST_PLACES = 50
MOST_CAMERAS = 200
_RADIUS_KM = HALF_ROUND_KM / math.pi
_LEAST_KM = 1.0
"""Of a place, and of the cells by which photographs are counted first."""
_WIDTHS_KM = (2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0)
"""What places may be wide; the least that does is taken."""
_COVERED = 0.7
"""Of the photographs whose place is known, so many are to lie in one that is named."""


@dataclass(frozen=True)
class Camera:
    name: str
    photographs: int


@dataclass(frozen=True)
class Year:
    year: int
    """Of the camera's clock."""
    photographs: int


@dataclass(frozen=True)
class Place:
    """A circle in which photographs were taken."""

    latitude: float
    longitude: float
    kilometres: float
    """From the centre to the furthest of its photographs, at least one."""
    photographs: int
    photo: int
    """The id of one of them, near the centre."""


@dataclass(frozen=True)
class Facets:
    """What is known of a collection. What few photographs share may be left out."""

    cameras: tuple[Camera, ...]
    """Those with most photographs first."""
    years: tuple[Year, ...]
    """The latest first."""
    places: tuple[Place, ...]
    """Those with most photographs first. No photograph is in two of them; circles may overlap."""


def facets_of(table: VectorTable) -> Facets:
    """The facets of a space's photographs."""
    return Facets(_cameras(*table.cameras), _years(table.taken), places(table.ids, table.places))


def _cameras(rows: np.ndarray, names: tuple[str, ...]) -> tuple[Camera, ...]:
    counts = np.bincount(rows[rows >= 0], minlength=len(names))
    cameras = [Camera(name, int(count)) for name, count in zip(names, counts, strict=True) if count]
    return tuple(sorted(cameras, key=lambda camera: (-camera.photographs, camera.name))[:MOST_CAMERAS])


def _years(taken: np.ndarray) -> tuple[Year, ...]:
    known = taken[~np.isnan(taken)].astype("datetime64[s]").astype("datetime64[Y]").astype(np.int64) + 1970
    years, counts = np.unique(known, return_counts=True)
    return tuple(Year(int(year), int(count)) for year, count in zip(years[::-1], counts[::-1], strict=True))


def places(ids: np.ndarray, points: np.ndarray) -> tuple[Place, ...]:
    """The places of photographs (N,) at points on the unit sphere (N, 3), NaN where it is not known.

    Photographs are counted in cells a kilometre wide, and of these the fullest takes in all cells around it, then the
    fullest of the others, and so on. How far around depends on the collection: as little as gives seven photographs in
    ten a place. So the places of somebody who stays in one town are its quarters, and those of a traveller are towns.
    """
    known = np.flatnonzero(~np.isnan(points[:, 0]))
    if not len(known):
        return ()
    cell_of, counts = _cells(points[known])
    centres = _unit(_sums(points[known], cell_of, len(counts)))
    enough = _COVERED * len(known)
    least = bisect.bisect_left(
        _WIDTHS_KM[:-1], True, key=lambda width: counts[_gathered(centres, counts, width) >= 0].sum() >= enough
    )
    owners = _gathered(centres, counts, _WIDTHS_KM[least])
    place_of = owners[cell_of]
    found = [
        _place(ids[known[members]], points[known[members]])
        for place in range(int(owners.max()) + 1)
        if len(members := np.flatnonzero(place_of == place))
    ]
    return tuple(sorted(found, key=lambda place: -place.photographs))


def _cells(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) the cell of each point, and (C,) how many points are in each. Cells are of space, not of the sphere: so they
    are as wide at the poles as elsewhere, and no meridian parts them."""
    places = np.round(points * (_RADIUS_KM / _LEAST_KM)).astype(np.int64)
    keys = (places[:, 0] << 40) + (places[:, 1] << 20) + places[:, 2]  # each is within 2^13
    _, cell_of, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return cell_of, counts


def _gathered(centres: np.ndarray, counts: np.ndarray, width: float) -> np.ndarray:
    """(C,) which place takes in each cell, -1 where none does."""
    owners = np.full(len(counts), -1)
    least_cosine = math.cos(min(width / _RADIUS_KM, math.pi))
    left = counts.copy()
    for place in range(MOST_PLACES):
        fullest = int(left.argmax())
        if not left[fullest]:
            break
        near = (centres @ centres[fullest] >= least_cosine) & (owners < 0)
        near[fullest] = True  # whatever rounding says
        owners[near] = place
        left[near] = 0
    return owners


def _place(ids: np.ndarray, points: np.ndarray) -> Place:
    centre = _unit(points.mean(axis=0, keepdims=True))[0]
    chords = np.sqrt(np.square(points - centre).sum(axis=1))
    furthest = 2 * math.asin(min(float(chords.max()) / 2, 1.0)) * _RADIUS_KM
    return Place(
        latitude=round(math.degrees(math.asin(max(-1.0, min(1.0, float(centre[2]))))), 4),
        longitude=round(math.degrees(math.atan2(float(centre[1]), float(centre[0]))), 4),
        kilometres=max(_LEAST_KM, math.ceil(furthest * 10 + 1) / 10),  # the centre is rounded, to some ten metres
        photographs=len(ids),
        photo=int(ids[chords.argmin()]),
    )


def _sums(points: np.ndarray, cell_of: np.ndarray, cells: int) -> np.ndarray:
    return np.stack([np.bincount(cell_of, points[:, axis], cells) for axis in range(3)], axis=1)


def _unit(points: np.ndarray) -> np.ndarray:
    return np.asarray(points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12))
