"""How long does a second run over unchanged photographs take, beside a bare walk of the same files?

The files are empty and never opened: a second run reads none. The index is filled directly, as if they had been
embedded: D = 512, with facts and thumbnails of the usual size. Both sides take turns; quoted are the best and the
median of each, and the median of the rounds' ratios. The walk is os.scandir with a stat of every file, and no more.
Run: python benchmarks/second_run.py [--files 100000]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from clipwright.index import changes
from clipwright.index.photo import PhotoFacts
from clipwright.index.photo_index import PhotoIndex
from clipwright.index.reading import ReadPhoto
from clipwright.index.scan import FoundFile
from clipwright.index.store import Store
from clipwright.inputs.input_spec import InputSpec

DIMENSIONS = 512
FILES_PER_FOLDER = 200
FACTS = PhotoFacts(4000, 3000, "JPEG", 1, 1.5e9, "Maker Model 5", "50 mm f/1.8", 48.1, 11.5)


class NoModel:
    """What an update asks of an embedder before it has anything to embed."""

    name, space_id, embed_dim, variant, pixels = "no model", "0123456789abcdef", DIMENSIONS, "fast-fp32", "fast"
    spec = InputSpec(image_size=224, context_length=77, start_id=1, end_id=2, pad_id=0)

    def embed_texts(self, texts: tuple[str, ...]) -> np.ndarray:
        return np.eye(DIMENSIONS, dtype=np.float32)[: len(texts)]


def make_files(root: Path, count: int) -> None:
    for number in range(count):
        if number % FILES_PER_FOLDER == 0:
            folder = root / f"{number // 10_000:03}" / f"{number // FILES_PER_FOLDER:05}"
            folder.mkdir(parents=True)
        (folder / f"IMG_{number:07}.JPG").touch()


def fill(database: Path, root: Path, thumbnail: bytes) -> None:
    store = Store.open(database, create=True)
    space = changes.ensure_space(store, NoModel())  # type: ignore[arg-type]
    vector = np.eye(DIMENSIONS, dtype=np.float32)[0]
    number = 0
    with store.writing() as change:
        change.connection.execute("INSERT INTO roots (id, path) VALUES (1, ?)", (bytes(root),))
        for folder, _, names in os.walk(bytes(root)):
            for name in sorted(names):
                path = os.path.join(folder, name)
                about = os.stat(path)  # noqa: PTH116
                file = FoundFile(path, about.st_size, about.st_mtime_ns)
                read = ReadPhoto(number.to_bytes(16, "big"), FACTS, None, thumbnail, number)
                photo = changes.add_photo(change, 1, file, read)
                changes.add_vector(change, space.id, photo, NoModel.variant, vector)
                number += 1
    store.close()


def walk(folder: str) -> int:
    """A bare walk: how many files it saw."""
    count = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                count += walk(entry.path)
            else:
                entry.stat()
                count += 1
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--thumbnail-bytes", type=int, default=12_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root, database = Path(name, "photographs"), Path(name, "photos.db")
        make_files(root, options.files)
        fill(database, root, bytes(options.thumbnail_bytes))
        walks, runs = [], []
        for _ in range(options.rounds):
            start = time.perf_counter()
            assert walk(str(root)) == options.files
            walks.append(time.perf_counter() - start)
            start = time.perf_counter()
            with PhotoIndex.open(database) as index:
                counts = index.update([root], NoModel())  # type: ignore[arg-type]
            runs.append(time.perf_counter() - start)
            assert (counts.found, counts.added, counts.removed) == (options.files, 0, 0), counts
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        from machine import describe  # which imports torch, and so stands after what is measured

        print(f"{describe()}\n- {options.files:,} files, {options.rounds} rounds, files' names in the page cache\n")
        print("| | best, s | median, s |\n|---|---|---|")
        for what, seconds in (("bare walk", walks), ("second run", runs)):
            print(f"| {what} | {min(seconds):.3f} | {statistics.median(seconds):.3f} |")
        ratios = [run / walk for run, walk in zip(runs, walks, strict=True)]
        print(f"\nA second run takes {statistics.median(ratios):.2f} times as long as a bare walk (median of rounds).")
        print(f"Peak resident memory: {memory:,.0f} MB.")


if __name__ == "__main__":
    main()
