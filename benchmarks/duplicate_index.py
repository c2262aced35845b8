"""An index of any size whose photographs need not exist: hashes from real ones, vectors and moments with duplicates.

Vectors are clustered: topics of very different sizes (a power law), photographs spread about their topic, shots of a
burst about their photograph. Hashes are those of the photographs in data/, each in 16 bits changed at random where one
is used again; copies differ in 0 to 2 bits, shots in 0 to 12. Fifty photographs are taken within ten minutes, then
comes another day.
"""

from __future__ import annotations

import io
import sqlite3
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from clipwright.index.perceptual_hash import perceptual_hash
from clipwright.index.schema import TABLES

SOURCES = ("tiny-imagenet/train", "flickr8k/train", "caltech101/train")
TOPICS = 4000
SIZES = ((4000, 3000), (6000, 4000), (1600, 1200), (3000, 4000))
BLOCK = 50_000


def real_hashes(data: Path) -> np.ndarray:
    """(H,) uint64 of every photograph of the data sets."""
    hashes = []
    for source in SOURCES:
        for batch in pq.ParquetFile(data / f"{source}.parquet").iter_batches(1024, columns=["image"]):
            rows = batch.column("image").to_pylist()
            hashes += [perceptual_hash(Image.open(io.BytesIO(row["bytes"])).convert("RGB")) for row in rows]
    return np.array(hashes, np.uint64)


def make(folder: Path, hashes: np.ndarray, count: int, dimensions: int) -> np.ndarray:
    """Writes photos.db and vectors.f16 (count, dimensions): of ten photographs, one is a copy and two are of bursts.

    One burst has 300 shots; one photograph in 200 is flat; one in a hundred is the same file again. Returns (count,)
    the row of the photograph that each is a duplicate of: its own where it is none.
    """
    random = np.random.default_rng(7)
    kind = random.choice(4, count, p=[0.69, 0.1, 0.2, 0.01])  # a photograph, a copy, a further shot, the same file
    kind[0] = 0
    kind[1000:1300] = 2
    first = np.maximum.accumulate(np.where(kind == 0, np.arange(count), 0))
    fresh = np.cumsum(kind == 0) - 1
    again = fresh >= len(hashes)
    base = hashes[random.permutation(len(hashes))[fresh % len(hashes)]]
    base[again] = flipped(base, 16, random)[first][again]
    looks = np.select([kind == 1, kind == 2], [flipped(base, 2, random), flipped(base, 12, random)], base)
    looks[(kind == 0) & (random.random(count) < 0.005)] = 0
    session, place = np.divmod(first, 50)
    taken = 1e9 + session * 86_400.0 + place * 12 + np.where(kind == 2, np.arange(count) - first, 0)
    sizes = np.array(SIZES)[random.integers(len(SIZES), size=count)[first]]
    sizes[kind == 1] //= 2
    content = np.where(kind == 3, np.maximum(np.arange(count) - 1, 0), np.arange(count))
    topics = random.standard_normal((TOPICS, dimensions), np.float32)
    topic_of = np.minimum(random.pareto(0.8, count) * 20, TOPICS - 1).astype(int)
    vectors = np.memmap(folder / "vectors.f16", np.float16, "w+", shape=(count, dimensions))
    shift = 2 * random.standard_normal(dimensions, np.float32)
    for start in range(0, count, BLOCK):
        rows = slice(start, min(start + BLOCK, count))
        own = np.stack([np.random.default_rng(row).standard_normal(dimensions, np.float32) for row in first[rows]])
        apart = np.select([kind[rows] == 1, kind[rows] == 2], [0.1, 0.25], 0)[:, None]
        moved = apart * random.standard_normal(own.shape, np.float32)
        block = shift + topics[topic_of[first[rows]]] + 0.7 * own + moved
        vectors[rows] = block / np.linalg.norm(block, axis=1, keepdims=True)
    vectors.flush()
    connection = sqlite3.connect(folder / "photos.db")
    connection.executescript(TABLES)
    connection.execute("INSERT INTO roots (id, path) VALUES (1, ?)", (b"/photos",))
    connection.executemany(
        "INSERT INTO photos VALUES (?, 1, ?, 1, 1, ?, ?, ?, ?, 'JPEG', 1, ?, ?, NULL, NULL, NULL, 1)",
        (
            (
                row + 1,
                b"/photos/%d" % row,
                int(content[row]).to_bytes(16, "little"),
                int(looks[row].view(np.int64)),
                int(sizes[row, 0]),
                int(sizes[row, 1]),
                float(taken[row]) if row % 5 else None,
                f"camera {session[row] % 3}" if row % 5 else None,
            )
            for row in range(count)
        ),
    )
    connection.commit()
    connection.close()
    return first


def flipped(hashes: np.ndarray, most: int, random: np.random.Generator) -> np.ndarray:
    """Each hash with 0 to most bits changed."""
    changed = hashes.copy()
    wanted = random.integers(most + 1, size=len(hashes))
    for number in range(most):
        bit = np.uint64(1) << random.integers(64, size=len(hashes), dtype=np.uint64)
        changed ^= np.where(number < wanted, bit, np.uint64(0))
    return changed
