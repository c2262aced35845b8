"""Photographs that a search might have found."""

from __future__ import annotations

import io
import os
from pathlib import Path

from PIL import Image

from clipwright.index.photo import Hit, Photo, PhotoFacts

NEW_YEAR = 1_704_067_200.0
"""2024-01-01 00:00 on the camera's clock."""


def found(
    path: str | bytes | Path = "/photos/beach.jpg",
    *,
    number: int = 1,
    relevance: float = 0.75,
    taken: float | None = NEW_YEAR + 13.5 * 3600,
    camera: str | None = "Canon EOS 80D",
    offline: bool = False,
    folded: tuple[Photo, ...] = (),
) -> Hit:
    facts = PhotoFacts(4000, 3000, "JPEG", 1, taken, camera, None, None, None)
    photo = Photo(number, os.fsencode(path), 1_000_000, 0, bytes(16), None, facts, offline)
    return Hit(photo, 0.3125, relevance, folded)


def jpeg(width: int, height: int, colour: str = "red") -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(written, "JPEG")
    return written.getvalue()
