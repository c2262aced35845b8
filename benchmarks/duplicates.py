"""How many duplicates are found, how many wrongly, how fast, and what does ImageHash's phash alone find?

quality: a collection made from real photographs (duplicate_pictures.py). Limits were chosen on the first half of the
photographs; what is reported is the second. Needs ImageHash: pip install ImageHash.
speed: an index of many photographs (duplicate_index.py), its vectors in a mapped file.
Run: python benchmarks/duplicates.py quality [MODEL ...]; python benchmarks/duplicates.py speed COUNT
"""

from __future__ import annotations

import argparse
import concurrent.futures
import importlib
import io
import multiprocessing
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

import clipwright
from clipwright.index.duplicates import DUPLICATE_KINDS, DuplicateGroup, duplicate_groups
from clipwright.index.perceptual_hash import perceptual_hash
from clipwright.index.photo_columns import PhotoColumns, read_columns
from duplicate_index import make, real_hashes
from duplicate_pictures import BURST, COPIES, ORIGINAL, Picture, collection, once, photographs
from machine import describe

DATA = Path("data")
FLICKR = ("flickr8k/train", "flickr8k/dev", "flickr8k/test")
CALTECH = ("caltech101/train", "caltech101/test")
DISTRACTORS = 2000
PAGES = 200
WITH_DUPLICATES = 1000
THRESHOLDS = (4, 8, 10, 12)


def in_a_walk(vectors: np.ndarray) -> list[int]:
    """An order in which each picture is followed by the most similar one that is left."""
    left, walk = np.ones(len(vectors), bool), [0]
    for _ in range(len(vectors) - 1):
        left[walk[-1]] = False
        walk.append(int(np.where(left, vectors @ vectors[walk[-1]], -2).argmax()))
    return walk


def pictures_of(half: int) -> tuple[list[Picture], list[str]]:
    """The collection, and of each photograph what it is: photograph, page or object."""
    flickr = once([image for name in FLICKR for image in photographs(DATA / f"{name}.parquet")])
    objects = once([image for name in CALTECH for image in photographs(DATA / f"{name}.parquet")])
    middle = len(flickr) // 2
    flickr = flickr[:middle] if half == 1 else flickr[middle:]
    walk = in_a_walk(clipwright.load("starter").embed_images(flickr))
    pictures = list(collection([flickr[place] for place in walk], WITH_DUPLICATES, PAGES, seed=half))
    known = len(flickr) + PAGES
    pictures += [
        Picture(image, known + number, ORIGINAL, None, None)
        for number, image in enumerate(objects[half - 1 :: 2][:DISTRACTORS])
    ]
    return pictures, ["photograph"] * len(flickr) + ["page"] * PAGES + ["object"] * DISTRACTORS


def columns_of(pictures: list[Picture], images: list[Image.Image]) -> PhotoColumns:
    rows = np.arange(len(pictures))
    return PhotoColumns(
        ids=rows,
        content=np.stack([rows, rows], axis=1).astype(np.uint64),
        hashes=np.array([perceptual_hash(image) for image in images], np.uint64),
        width=np.array([image.width for image in images], np.int32),
        height=np.array([image.height for image in images], np.int32),
        taken=np.array([np.nan if picture.taken is None else picture.taken for picture in pictures]),
        camera=np.array([-1 if picture.camera is None else 0 for picture in pictures], np.int32),
    )


def groups_within(hashes: np.ndarray, bits: int) -> list[DuplicateGroup]:
    """Groups by a hash alone, by the same rule: the first picture that is in no group takes all near ones that are."""
    left, groups = np.ones(len(hashes), bool), []
    for row in range(len(hashes)):
        if left[row]:
            near = np.flatnonzero(left & (np.bitwise_count(hashes ^ hashes[row]) <= bits))
            left[near] = False
            if len(near) > 1:
                groups.append(DuplicateGroup("same picture", tuple(near.tolist())))
    return groups


def table_row(
    name: str, groups: list[DuplicateGroup], pictures: list[Picture], what: list[str]
) -> list[tuple[int, int]]:
    """Prints the shares found and what was joined wrongly; gives the wrong pairs back."""
    best = {kind: np.arange(len(pictures)) for kind in DUPLICATE_KINDS}
    for group in groups:
        best[group.kind][list(group.photos)] = group.photos[0]
    picture_of = best["same picture"]
    shot_of = best["similar shot"][picture_of]
    original = {picture.photograph: row for row, picture in enumerate(pictures) if picture.made == ORIGINAL}
    cells = []
    for made in (*COPIES, f"{BURST}, dated", f"{BURST}, undated"):
        rows = [
            row
            for row, picture in enumerate(pictures)
            if picture.made == made or f"{picture.made}, {'un' * (picture.taken is None)}dated" == made
        ]
        origins = [original[pictures[row].photograph] for row in rows]
        same = picture_of[rows] == picture_of[origins]
        either = same | (shot_of[rows] == shot_of[origins])
        cells.append(f"{same.mean():.3f} / {either.mean():.3f}")
    joined = [(group.kind, group.photos[0], other) for group in groups for other in group.photos[1:]]
    wrong = [
        (kind, first, other)
        for kind, first, other in joined
        if pictures[first].photograph != pictures[other].photograph
    ]
    for kind in ("same picture", "similar shot"):
        counts = Counter(what[pictures[other].photograph] for found, _, other in wrong if found == kind)
        cells.append(
            f"{sum(found == kind for found, _, _ in joined)}: "
            + ", ".join(f"{counts[each]}" for each in ("photograph", "object", "page"))
        )
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    return [(first, other) for _, first, other in wrong]


def wrong_sheet(pairs: list[tuple[int, int]], pictures: list[Picture], path: Path) -> None:
    """A picture of the pairs that were joined wrongly, to look at."""
    sheet = Image.new("RGB", (1760, 112 * (len(pairs) // 8 + 1)), "white")
    for number, pair in enumerate(pairs):
        for side, row in enumerate(pair):
            small = Image.open(io.BytesIO(pictures[row].data)).convert("RGB").resize((104, 104))
            sheet.paste(small, (number % 8 * 220 + side * 106, number // 8 * 112))
    sheet.save(path)


def quality(models: list[str], half: int, sheet: Path | None) -> None:
    pictures, what = pictures_of(half)
    images = [Image.open(io.BytesIO(picture.data)).convert("RGB") for picture in pictures]
    photos = columns_of(pictures, images)
    phash = importlib.import_module("imagehash").phash
    hashes = np.array([int(str(phash(image)), 16) for image in images], np.uint64)
    made = Counter(picture.made for picture in pictures)
    print(f"\n## Quality: {len(pictures)} pictures, half {half}\n\n{dict(made)}\n")
    head = ["by", *COPIES, f"{BURST}, dated", f"{BURST}, undated", "same picture: wrong", "similar shot: wrong"]
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for model in models:
        vectors = clipwright.load(model).embed_images([picture.data for picture in pictures])
        groups = list(duplicate_groups(photos, lambda rows, vectors=vectors: vectors[rows]))  # type: ignore[misc]
        pairs = table_row(model, groups, pictures, what)
        if sheet is not None and model == models[0]:
            wrong_sheet([pair for pair in pairs if what[pictures[pair[1]].photograph] != "page"], pictures, sheet)
    table_row("no vectors", list(duplicate_groups(photos)), pictures, what)
    for bits in THRESHOLDS:
        table_row(f"ImageHash phash <= {bits}", groups_within(hashes, bits), pictures, what)


def measure(folder: Path, count: int, dimensions: int) -> tuple[list[DuplicateGroup], float, float, float]:
    """The groups, seconds for the columns and in all, and GiB of memory at the peak, mapped pages with it."""
    vectors = np.memmap(folder / "vectors.f16", np.float16, "r", shape=(count, dimensions))
    begun = time.perf_counter()
    photos = read_columns(folder / "photos.db")
    read = time.perf_counter() - begun
    groups = list(duplicate_groups(photos, lambda rows: vectors[rows].astype(np.float32)))
    return groups, read, time.perf_counter() - begun, peak_memory()


def peak_memory() -> float:
    """GiB that this process had at its peak. What resource tells would be its parent's too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 2**20


def speed(count: int, dimensions: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        made = make(Path(name), real_hashes(DATA), count, dimensions)
        fresh = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, fresh) as process:  # of its own: its peak is of this alone
            groups, read, seconds, peak = process.submit(measure, Path(name), count, dimensions).result()
    best_of = np.arange(count)
    for group in groups:
        members = np.array(group.photos) - 1
        best_of[members[1:]] = members[0]
    best_of = best_of[best_of[best_of]]
    duplicates = np.flatnonzero(made != np.arange(count))
    found = (best_of[duplicates] == best_of[made[duplicates]]).mean()
    wrong = sum(made[photo - 1] != made[group.photos[0] - 1] for group in groups for photo in group.photos[1:])
    grouped = {kind: sum(len(group.photos) for group in groups if group.kind == kind) for kind in DUPLICATE_KINDS}
    kinds = ", ".join(f"{kind} {number:,}" for kind, number in grouped.items())
    print(
        f"| {count:,} | {read:.1f} s | {seconds:.1f} s | {peak:.2f} GiB | {found:.3f} | {wrong} | {kinds} |", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    asked = parser.add_subparsers(dest="asked", required=True)
    quality_options = asked.add_parser("quality")
    quality_options.add_argument("models", nargs="*", default=["starter"])
    quality_options.add_argument("--half", type=int, choices=[1, 2], default=2)
    quality_options.add_argument("--sheet", type=Path)
    speed_options = asked.add_parser("speed")
    speed_options.add_argument("count", type=int)
    speed_options.add_argument("--dimensions", type=int, default=512)
    options = parser.parse_args()
    print(f"# Duplicates\n\n{describe()}")
    if options.asked == "quality":
        quality(options.models, options.half, options.sheet)
    else:
        head = ["photographs", "columns", "in all", "peak memory", "found", "wrong", "photographs in groups"]
        print("\n| " + " | ".join(head) + " |\n|" + "---|" * len(head))
        speed(options.count, options.dimensions)


if __name__ == "__main__":
    main()
