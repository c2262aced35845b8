"""Filters of a search by what files say of their pictures: date, camera, place, path, size."""

from __future__ import annotations

import datetime
import math
import re
from dataclasses import dataclass

from clipwright.errors import QueryError


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
    """A glob: * stands for anything within a name, ** for anything. Without a slash, it is matched with names."""
    min_megapixels: float | None = None


def moment(text: str) -> float:
    """What a date or a date and time, ISO 8601 without a zone, is on the camera's clock: as in PhotoFacts.taken.

    '2024' and '2024-05' are their first moments. Raises QueryError for anything else.
    """
    parts = re.fullmatch(r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2}))?)?)?)?", text.strip())
    try:
        if parts is None:
            raise ValueError
        year, month, day, hour, minute, second = (int(part) if part else None for part in parts.groups())
        named = datetime.datetime(year or 0, month or 1, day or 1, hour or 0, minute or 0, second or 0)
    except ValueError:
        raise QueryError(
            f"{text!r} is no date that is read here; write it as 2024, 2024-05, 2024-05-31 or 2024-05-31T13:30"
        ) from None
    return (named - datetime.datetime(1970, 1, 1)).total_seconds()


def surroundings(text: str) -> tuple[float, float, float]:
    """Filters.near from 'LATITUDE,LONGITUDE,KILOMETRES'. Raises QueryError where that is not on the Earth."""
    try:
        latitude, longitude, kilometres = (float(part) for part in text.split(","))
    except ValueError:
        raise QueryError(f"{text!r} is not LATITUDE,LONGITUDE,KILOMETRES, such as 48.21,16.37,5") from None
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise QueryError(f"{text!r}: latitudes go from -90 to 90, longitudes from -180 to 180, in this order")
    if not 0 < kilometres < math.inf:
        raise QueryError(f"{text!r}: {kilometres:g} kilometres around a place hold nothing; give a number above 0")
    return latitude, longitude, kilometres
