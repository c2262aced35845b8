"""A collection of photographs that are not there: a database of clipwright with vectors as a model makes them.

Made by plain SQL, so that a million take minutes. Run: python benchmarks/made_up_collection.py ROWS FOLDER
[--space-id ID --model NAME --background VECTORS.npy | --for MODEL] [--thumbnails], which writes FOLDER/photos.db.
--for takes the space of a model that can be opened, so that its queries can be asked.

The distribution (`Distribution`): D = 512, or the model's. Every picture's vector has the same part along one
direction, so that two pictures' mean cosine is about 0.5 (the cone of a contrastive model). The rest is a mixture of
4,000 clusters whose sizes follow Zipf's law. Half of it is the cluster's centre and half is the picture's own, and both
are drawn with standard deviations that fall as 1 / sqrt(rank of the direction), so that 64 directions hold 73 % of the
variance and 128 hold 83 %. That is harder than real vectors are: of 23,000 photographs embedded by the starter, 64 of
256 directions hold 97 %. Text queries lie on a cone of their own (mean cosine to a picture about 0.15), with the
concepts of one or two clusters and much of their own. Picture queries resemble pictures of the collection.
"""

from __future__ import annotations

import argparse
import io
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from clipwright.embedding.load import load_embedder
from clipwright.index.database import connect, make
from clipwright.index.reading import THUMBNAIL_SIDE
from clipwright.tasks.background import BACKGROUND_CAPTIONS

D = 512
SPACE_ID = "0123456789abcdef"
YEARS = (2006, 2026)
_CLUSTERS, _OWN_SHARE, _BLOCK = 4000, 0.5, 50_000
_THUMBNAILS = 64
"""Different ones of each shape."""
_SHAPES = ((4032, 3024), (3024, 4032), (6000, 4000), (2592, 1944), (1600, 1200), (8256, 5504))


class Distribution:
    """Where the vectors of pictures and texts lie."""

    def __init__(self, seed: int = 0, dimensions: int = D) -> None:
        self._dimensions = dimensions
        self.generator = np.random.default_rng(seed)
        self.centres = self._unit(self._falling(_CLUSTERS))
        weights = 1 / np.arange(1, _CLUSTERS + 1)
        self._weights = weights / weights.sum()

    def pictures(self, count: int) -> np.ndarray:
        """(count, D) float32, unit rows."""
        cluster = self.generator.choice(_CLUSTERS, count, p=self._weights)
        centre, own = self.centres[cluster], self._unit(self._falling(count))
        share = np.float32(_OWN_SHARE)
        return self._on_cone(np.sqrt((1 - share) / 2) * centre + np.sqrt(share / 2) * own, picture=0.5**0.5)

    def texts(self, count: int) -> np.ndarray:
        first, second = self.centres[self.generator.integers(0, _CLUSTERS, (2, count))]
        mixed = self.generator.random((count, 1), np.float32) / 2
        concept = self._unit((1 - mixed) * first + mixed * second)
        return self._on_cone(0.4 * concept + 0.45 * self._unit(self._falling(count)), picture=0.2, text=0.75)

    def like(self, pictures: np.ndarray) -> np.ndarray:
        """Pictures that resemble these (R, D)."""
        return self._unit(pictures + np.float32(0.3) * self._unit(self._falling(len(pictures))))

    def _falling(self, count: int) -> np.ndarray:
        """(count, D) whose standard deviations fall as 1 / sqrt(rank); the cones' two directions are left out."""
        ranks = np.arange(1, self._dimensions - 1, dtype=np.float32)
        deviations = np.append(ranks**-0.5, [0, 0]).astype(np.float32)
        return np.asarray(self.generator.standard_normal((count, self._dimensions), np.float32) * deviations)

    def _on_cone(self, vectors: np.ndarray, picture: float, text: float = 0.0) -> np.ndarray:
        vectors[:, -1] += picture
        vectors[:, -2] += text
        return self._unit(vectors)

    @staticmethod
    def _unit(vectors: np.ndarray) -> np.ndarray:
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def make_collection(
    folder: Path,
    rows: int,
    space_id: str,
    model: str,
    background: np.ndarray | None = None,
    *,
    thumbnails: bool = False,
) -> Path:
    """The database in a folder, made if it is not there. background: the captions' vectors in the space."""
    database = folder / "photos.db"
    if database.exists():
        return database
    folder.mkdir(parents=True, exist_ok=True)
    make(database)
    distribution = Distribution(dimensions=D if background is None else background.shape[1])
    captions = distribution.texts(len(BACKGROUND_CAPTIONS)) if background is None else background
    connection = connect(database, writing=True)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    connection.execute("INSERT INTO roots (id, path) VALUES (1, ?)", (b"/photos",))
    connection.execute(
        "INSERT INTO spaces (id, space_id, model, embed_dim, background) VALUES (1, ?, ?, ?, ?)",
        (space_id, model, captions.shape[1], captions.astype("<f2").tobytes()),
    )
    pictures = _thumbnails(distribution.generator) if thumbnails else {}
    for serial, start in enumerate(range(0, rows, _BLOCK), 1):
        count = min(_BLOCK, rows - start)
        vectors = distribution.pictures(count).astype("<f2")
        photographs = list(_photographs(distribution.generator, start + 1, count))
        connection.executemany(
            "INSERT INTO photos VALUES (?, 1, ?, 3000000, 1, ?, ?, ?, ?, 'JPEG', 1, ?, ?, ?, ?, ?, ?)",
            ((*row, serial) for row in photographs),
        )
        if pictures:
            connection.executemany(
                "INSERT INTO thumbnails VALUES (?, ?)",
                ((row[0], pictures[row[4], row[5]][row[0] % _THUMBNAILS]) for row in photographs),
            )
        connection.executemany(
            "INSERT INTO vectors VALUES (1, ?, 'fast-fp32', ?, ?)",
            ((start + 1 + row, vector.tobytes(), serial) for row, vector in enumerate(vectors)),
        )
        connection.execute("UPDATE counters SET serial = ?", (serial,))
        print(f"{start + count:,} of {rows:,}", flush=True)
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return database


def _photographs(generator: np.random.Generator, first: int, count: int) -> Iterator[tuple[Any, ...]]:
    """What the table photos holds of each, but root, size, time, format, orientation and serial."""
    years = generator.integers(*YEARS, count)
    events, days = generator.integers(0, 40, count), generator.random(count)
    camera, lens = generator.zipf(1.5, count) % 40, generator.integers(0, 12, count)
    city = generator.zipf(1.3, count) % 500
    latitude, longitude = (city * 37 % 130) - 60.0, (city * 91 % 360) - 180.0
    apart = generator.normal(0, 0.1, (count, 2))
    shape = generator.integers(0, len(_SHAPES), count)
    has = generator.random((count, 3)) < (0.9, 0.85, 0.6)
    hashes = generator.integers(-(2**62), 2**62, (count, 3))
    for row in range(count):
        id_, year, event = first + row, int(years[row]), int(events[row])
        name = f"IMG_{year}{event:02}_{id_:07}.jpg" if camera[row] < 20 else f"DSC{id_:07}.JPG"
        yield (
            id_,
            f"/photos/{year}/{event:02} {'beach' if event % 10 == 3 else 'event'}/{name}".encode(),
            hashes[row, :2].tobytes(),
            int(hashes[row, 2]),
            *_SHAPES[shape[row]],
            (year - 1970 + float(days[row])) * 31_556_952 if has[row, 0] else None,
            f"Maker Model {camera[row]}" if has[row, 1] else None,
            f"Lens {lens[row]} mm" if has[row, 1] else None,
            float(latitude[row] + apart[row, 0]) if has[row, 2] else None,
            float(longitude[row] + apart[row, 1]) if has[row, 2] else None,
        )  # fmt: skip


def _thumbnails(generator: np.random.Generator) -> dict[tuple[int, int], list[bytes]]:
    """Some JPEGs of clouds of colour for each shape of photograph; about as large as those of photographs are."""
    made: dict[tuple[int, int], list[bytes]] = {}
    for width, height in _SHAPES:
        size = (
            round(THUMBNAIL_SIDE * width / max(width, height)),
            round(THUMBNAIL_SIDE * height / max(width, height)),
        )
        made[width, height] = []
        for _ in range(_THUMBNAILS):
            picture = np.zeros((size[1], size[0], 3), np.float32)
            for cells, strength in ((3, 120), (12, 60), (48, 40)):
                patches = generator.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
                grown = Image.fromarray(patches).resize(size, Image.Resampling.BICUBIC)
                picture += (np.asarray(grown, np.float32) - 128) * (strength / 128)
            file = io.BytesIO()
            Image.fromarray((picture + 128).clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=78)
            made[width, height].append(file.getvalue())
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--space-id", default=SPACE_ID)
    parser.add_argument("--model", default="made up")
    parser.add_argument("--background", type=Path, help="a .npy of (B, 512): the captions' vectors in that space")
    parser.add_argument("--for", dest="embedder", metavar="MODEL", help="in place of the three above")
    parser.add_argument("--thumbnails", action="store_true", help="twelve kilobytes a photograph")
    options = parser.parse_args()
    background = np.load(options.background) if options.background else None
    space_id, model = options.space_id, options.model
    if options.embedder:
        embedder = load_embedder(options.embedder)
        space_id, model = embedder.space_id, embedder.name
        background = embedder.embed_texts(BACKGROUND_CAPTIONS)
    try:
        print(make_collection(options.folder, options.rows, space_id, model, background, thumbnails=options.thumbnails))
    except sqlite3.Error as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
