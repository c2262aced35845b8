"""Filters of a search by what files say of their pictures: date, camera, place, path, size."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from clipwright.errors import QueryError

HALF_ROUND_KM = math.pi * 6371.0088
"""From a point to the one opposite, on a sphere of the earth's mean radius."""
_MOMENT = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2}):(\d{2}))?)?)?", re.ASCII)


@dataclass(frozen=True)
class Filters:
    """What a photograph must be to be found. None: anything. One that does not say what is asked for is not found."""

    after: float | None = None
    """Taken at or after this moment of the camera's clock, as in PhotoFacts.taken."""
    before: float | None = None
    """Taken before this moment."""
    camera: str | None = None
    """Part of the camera's name, whatever the case of letters."""
    lens: str | None = None
    near: tuple[float, float, float] | None = None
    """Latitude and longitude in degrees, and a distance in kilometres on the sphere."""
    path: str | None = None
    """A glob: * stands for anything within a name, ** for anything, ? for a character. Without a slash, it is matched
    with names; with one, with whole paths from the root, or their ends where it does not begin there. A slash at its
    end stands for everything below."""
    min_megapixels: float | None = None


def parse_moment(text: str) -> float:
    """The first second of a year, month, day or minute of the camera's clock, as in PhotoFacts.taken.

    Raises QueryError where it is none.
    """
    parts = _MOMENT.fullmatch(text.strip())
    if parts is not None:
        try:
            year, month, day, hour, minute = (int(part) if part else None for part in parts.groups())
            return datetime(year or 0, month or 1, day or 1, hour or 0, minute or 0, tzinfo=UTC).timestamp()
        except ValueError:  # a month or a day that there is not
            pass
    raise QueryError(f"{text!r} is not a date; write one as 2024, 2024-05, 2024-05-17 or 2024-05-17T12:30")


def parse_near(text: str) -> tuple[float, float, float]:
    """Latitude, longitude and distance from "LAT,LON,KM". Raises QueryError where they are no place or out of range."""
    try:
        latitude, longitude, distance = (float(part) for part in text.split(","))
    except ValueError:
        raise QueryError(
            f"{text!r} is not a place; write latitude, longitude and kilometres, as in 48.2,16.37,25"
        ) from None
    if not -90 <= latitude <= 90:
        raise QueryError(
            f"the latitude {latitude:g} of {text!r} is out of range; it goes from -90 (south) to 90 (north)"
        )
    if not -180 <= longitude <= 180:
        raise QueryError(
            f"the longitude {longitude:g} of {text!r} is out of range; it goes from -180 (west) to 180 (east)"
        )
    if not 0 < distance < math.inf:
        raise QueryError(
            f"the distance {distance:g} of {text!r} is none; give the kilometres around the place, above 0"
        )
    return latitude, longitude, distance
