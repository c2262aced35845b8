"""Filters of a search by what files say of their pictures: date, camera, place, path, size."""

from __future__ import annotations

from dataclasses import dataclass


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
