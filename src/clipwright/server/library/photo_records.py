"""Photographs as answers show them: by ids and names, never by paths."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from clipwright.index.photo import Hit, Photo, taken_at


class PhotoRecord(BaseModel):
    """A photograph of the index."""

    id: int
    name: str
    """Of its file, without folders."""
    width: int
    """Of the upright picture, in pixels."""
    height: int
    format: str
    taken: str | None
    """By the camera's clock, in ISO 8601, without a time zone."""
    camera: str | None
    lens: str | None
    latitude: float | None
    longitude: float | None
    bytes: int
    offline: bool
    """Whether its disk was not there when the index last looked."""
    thumbnail: str
    """The address of a small JPEG of it. Another content has another address, so that it may be kept for long."""
    picture: str
    """The address of a large one; ?side=PIXELS says how large."""


class HitRecord(PhotoRecord):
    """One answer of a search."""

    similarity: float | None
    """Cosine to the query; null where nothing was searched for."""
    relevance: float | None
    """0 to 1; docs/concepts/relevance.md."""
    folded: list[PhotoRecord]
    """Near-identical shots that this one stands for, best first."""


def hit_record(hit: Hit) -> HitRecord:
    return HitRecord.model_construct(
        **_fields(hit.photo),
        similarity=round(hit.similarity, 6),
        relevance=round(hit.relevance, 6),
        folded=[photo_record(photo) for photo in hit.folded],
    )


def photo_record(photo: Photo) -> PhotoRecord:
    return PhotoRecord.model_construct(**_fields(photo))


def record_without_rank(photo: Photo) -> HitRecord:
    """For a list in which nothing was searched for."""
    return HitRecord.model_construct(**_fields(photo), similarity=None, relevance=None, folded=[])


def file_name(path: bytes) -> str:
    """The last part of a path; bytes that are no letters are replaced."""
    return os.fsencode(Path(os.fsdecode(path)).name).decode("utf-8", "replace")


def _fields(photo: Photo) -> dict[str, Any]:
    facts, address = photo.facts, f"/v1/photos/{photo.id}"
    return {
        "id": photo.id,
        "name": file_name(photo.path),
        "width": facts.width,
        "height": facts.height,
        "format": facts.format,
        "taken": taken_at(photo, "seconds"),
        "camera": facts.camera,
        "lens": facts.lens,
        "latitude": facts.latitude,
        "longitude": facts.longitude,
        "bytes": photo.size,
        "offline": photo.offline,
        "thumbnail": f"{address}/thumbnail?v={photo.content_hash.hex()[:12]}",
        "picture": f"{address}/picture",
    }
