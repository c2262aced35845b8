"""A picture as its file holds it, before it is turned upright."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True)
class StoredPicture:
    image: Image.Image
    """Decoded smaller where that was allowed."""
    width: int
    """Pixels of the whole picture, as it lies."""
    height: int
    orientation: int
    """EXIF's: what makes the image upright."""
    exif: Image.Exif
