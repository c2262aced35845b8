"""What an index knows of a photograph, and what a search says of it."""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PhotoFacts:
    """What a file says of its picture. None: it does not say."""

    width: int
    """Pixels of the upright picture, as stored: not as decoded for the model."""
    height: int
    format: str
    """As Pillow names it: JPEG, HEIF, ...; RAW for a camera's own."""
    orientation: int
    """EXIF's 1 to 8; 1 where nothing is said."""
    taken: float | None
    """When, by the camera's clock: seconds from 1970-01-01 00:00 on that clock. EXIF seldom knows the time zone."""
    camera: str | None
    lens: str | None
    latitude: float | None
    """Degrees, north positive. Either both of latitude and longitude are known or neither."""
    longitude: float | None
    """Degrees, east positive."""


@dataclass(frozen=True)
class Photo:
    """One file of the index."""

    id: int
    """Stays the same when the file is moved or renamed."""
    path: bytes
    """Absolute, in the file system's own bytes."""
    size: int
    mtime_ns: int
    content_hash: bytes
    """BLAKE2b of the file, 16 bytes."""
    perceptual_hash: int | None
    """64 bits; near-identical pictures differ in few."""
    facts: PhotoFacts
    offline: bool
    """Whether its disk was not there when the index last looked."""

    @property
    def source(self) -> Path:
        return Path(os.fsdecode(self.path))


@dataclass(frozen=True)
class Hit:
    """One answer of a search."""

    photo: Photo
    similarity: float
    """Cosine to the query, -1 to 1; of a query with AND, OR or NOT to the part that decided."""
    relevance: float
    """0 to 1, comparable between models and queries: see docs/concepts/relevance.md."""
    folded: tuple[Photo, ...] = ()
    """Near-identical shots that this one stands for, best first."""


def taken_at(photo: Photo, precision: str = "minutes") -> str | None:
    """When it was taken by the camera's clock, in ISO 8601 without a time zone; None where that is not known."""
    if photo.facts.taken is None:
        return None
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=photo.facts.taken)
    return moment.isoformat(timespec=precision)
