"""A folder of photographs with dates, cameras and places, indexed with the starter, for tests of a server."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from clipwright.embedding.embedder import Embedder
from clipwright.embedding.load import load_embedder
from clipwright.index.photo_index import PhotoIndex
from clipwright.server.settings import ModelSettings, ServerSettings
from tests.support import REFERENCE

PICTURES = REFERENCE / "pictures"
_MAKE, _MODEL, _TAKEN, _EXIF, _GPS = 0x010F, 0x0110, 0x9003, 0x8769, 0x8825
_BERLIN = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)}
_SYDNEY = {1: "S", 2: (33.0, 52.0, 0.0), 3: "E", 4: (151.0, 12.0, 0.0)}
ONNX = ModelSettings(backend="onnx", precision="fp32", pixels="fast", threads=1)
"""What starts soonest on every machine, and leaves a core to those who call it."""
NAMES = ("astronaut.jpg", "cat.jpg", "coffee.jpg", "rocket.jpg")


@dataclass(frozen=True)
class IndexedPhotos:
    """Folders and their index."""

    folder: Path
    database: Path

    def settings(self, **others: Any) -> ServerSettings:
        return ServerSettings(
            **{"models": ("starter",), "model": ONNX, "database": self.database, "roots": (self.folder,), **others}
        )

    def ids(self) -> dict[str, int]:
        """By the files' names."""
        with PhotoIndex.open(self.database, create=False) as index:
            return {photo.source.name: photo.id for photo in index.newest(1000)}

    def copy_to(self, folder: Path) -> IndexedPhotos:
        """The same photographs elsewhere, to be changed; not indexed yet."""
        shutil.copytree(self.folder, folder / self.folder.name)
        return IndexedPhotos(folder / self.folder.name, folder / "photos.db")


def write_photographs(folder: Path) -> None:
    """Four photographs, three that resemble one of them, and a file that is none."""
    folder.mkdir(parents=True)
    _save(folder / "astronaut.jpg", "astronaut.jpg", taken="2019:05:17 12:30:00", camera=("Canon", "EOS 5D"))
    _save(folder / "cat.jpg", "chelsea.png", taken="2021:07:04 18:30:05", camera=("Canon", "EOS 5D"), gps=_BERLIN)
    _save(folder / "coffee.jpg", "coffee.jpg", taken="2023:01:01 08:00:00", camera=("Nikon", "D750"), gps=_SYDNEY)
    _save(folder / "rocket.jpg", "rocket.jpg")
    (folder / "diary.jpg").write_text("Dear diary, today I took no photograph.")


def index_photographs(photos: IndexedPhotos, excludes: Sequence[str] | None = None) -> None:
    with PhotoIndex.open(photos.database) as index:
        index.update([photos.folder], _starter(), excludes=excludes)


@functools.cache
def _starter() -> Embedder:
    """The model as a server with these settings has it."""
    return load_embedder(
        "starter", threads=ONNX.threads, pixels=ONNX.pixels, backend=ONNX.backend, precision=ONNX.precision
    )


def write_shapes(folder: Path, count: int, first: int = 0) -> None:
    """Small pictures, each different from all others."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        patches = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(patches).resize((96, 96), Image.Resampling.NEAREST).save(folder / f"{number:05}.png")


def picture(name: str) -> Image.Image:
    """One of the reference pictures."""
    with Image.open(PICTURES / name) as opened:
        return opened.convert("RGB")


def strings_in(answer: Any) -> Iterator[str]:
    """Every string of a JSON answer, keys too."""
    if isinstance(answer, dict):
        for key, value in answer.items():
            yield key
            yield from strings_in(value)
    elif isinstance(answer, list):
        for value in answer:
            yield from strings_in(value)
    elif isinstance(answer, str):
        yield answer


def names_of(answer: Any) -> list[str]:
    """Of the photographs in an answer to a search."""
    return [hit["name"] for hit in json.loads(json.dumps(answer))["data"]]


def _save(
    path: Path,
    name: str,
    *,
    taken: str | None = None,
    camera: tuple[str, str] | None = None,
    gps: dict[int, Any] | None = None,
) -> None:
    tags = Image.Exif()
    if camera:
        tags[_MAKE], tags[_MODEL] = camera
    if taken:
        tags.get_ifd(_EXIF)[_TAKEN] = taken
    if gps:
        tags.get_ifd(_GPS).update(gps)
    picture(name).save(path, "JPEG", quality=90, exif=tags)
