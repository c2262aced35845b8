"""How fast is a folder indexed, beside rclip, and how much of the model's own speed is left?

rclip 3.3.0 itself, at its model and size (ViT-B/32 at 256 px), in processes of its own; ours with a model of the same
size and random weights, thumbnails and perceptual hashes included. Starting is not counted on either side.

Photographs are Flickr8k's, enlarged with the noise of a sensor: at 12 megapixels about 4 MB each, at 500 x 375 about
100 KB as in ImageNet. Sides take turns, and the best round of each counts.
Run: python benchmarks/indexing.py --rclip FOLDER-OF-ITS-ENVIRONMENT/bin/rclip --rclip-data ITS-DATADIR
(the data directory as ../shared/peers/rclip_offline.py makes it)
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from clipwright.checkpoints.model_file import save_model
from clipwright.model.openai import OPENAI_CONFIGS
from machine import describe
from starting import random_model

FLICKR = Path("data/flickr8k/test.parquet")
KINDS = {
    "12 megapixels": ((4000, 3000), 8),
    "500 x 375": ((500, 375), 16),
}
"""What the photographs are called: their size, and the standard deviation of their noise in levels."""
OURS = """
import sys, time
from pathlib import Path
import numpy as np
from clipwright.embedding.load import load_embedder
from clipwright.index.photo_index import PhotoIndex

model, one, folder, database, precision, threads = sys.argv[1:]
embedder = load_embedder(model, pixels="fast", precision=precision)
with PhotoIndex.open(Path(database)) as photos:
    photos.update([Path(one)], embedder)
    begun = time.perf_counter()
    counts = photos.update([Path(folder)], embedder, threads=int(threads) or None)
    indexed = counts.embedded / (time.perf_counter() - begun)
pixels = np.random.default_rng(0).standard_normal((32, 3, *2 * [embedder.spec.image_size]), np.float32)
seconds = []
for _ in range(6):
    begun = time.perf_counter()
    embedder.image_features(pixels)
    seconds.append(time.perf_counter() - begun)
print(indexed, len(pixels) / min(seconds))
"""


@dataclass(frozen=True)
class Speed:
    """In photographs a second."""

    indexing: float
    batches: float | None = None
    """Of the image tower alone, 32 at once; None where it cannot be asked."""


Side = Callable[[Path, Path], Speed]
"""From a folder with one photograph and one with many."""


def enlarged(data: bytes, size: tuple[int, int], noise: float, seed: int) -> bytes:
    """The photograph at this size, lying or upright as it is, with noise."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    size = size if image.width >= image.height else size[::-1]
    pixels = np.asarray(image.resize(size, Image.Resampling.LANCZOS), np.float32)
    grain = np.random.default_rng(seed).standard_normal(pixels.shape[:2], np.float32)[..., None]
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels + noise * grain, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def make_folder(folder: Path, size: tuple[int, int], noise: float, count: int) -> None:
    folder.mkdir(parents=True)
    rows = pq.read_table(FLICKR).slice(0, count)["image"].to_pylist()
    for number, row in enumerate(rows):
        (folder / f"{number:04}.jpg").write_bytes(enlarged(row["bytes"], size, noise, number))


def run_rclip(command: str, data: Path, one: Path, folder: Path) -> Speed:
    """What a process takes for one photograph is its start, and subtracted."""
    seconds = []
    for place in (one, folder):
        (data / "db.sqlite3").unlink(missing_ok=True)
        begun = time.perf_counter()
        environment = {**os.environ, "RCLIP_DATADIR": str(data)}
        subprocess.run([command, "-t", "1", "a dog"], cwd=place, env=environment, capture_output=True, check=True)
        seconds.append(time.perf_counter() - begun)
    return Speed((len(list(folder.iterdir())) - 1) / (seconds[1] - seconds[0]))


def run_ours(model: Path, precision: str, threads: int, one: Path, folder: Path) -> Speed:
    """In one process, which has indexed one photograph before."""
    with tempfile.TemporaryDirectory() as place:
        arguments = [str(each) for each in (model, one, folder, Path(place, "photos.db"), precision, threads)]
        done = subprocess.run([sys.executable, "-c", OURS, *arguments], capture_output=True, text=True, check=True)
    indexing, batches = done.stdout.split()
    return Speed(float(indexing), float(batches))


def model_file(folder: Path) -> Path:
    """A random ViT-B/32 that reads 256 px."""
    base = OPENAI_CONFIGS["ViT-B/32"]
    config = dataclasses.replace(base, vision=dataclasses.replace(base.vision, image_size=256))
    path = folder / "b32-256.safetensors"
    save_model(path, random_model(config))
    return path


def measured(sides: dict[str, Side], folder: Path, rounds: int) -> dict[str, Speed]:
    """The best of each side, which take turns."""
    results: dict[str, list[Speed]] = {name: [] for name in sides}
    with tempfile.TemporaryDirectory() as one:
        Path(one, "one.jpg").write_bytes(encoded_again(folder))
        for _ in range(rounds):
            for name, side in sides.items():
                results[name].append(side(Path(one), folder))
    return {
        name: Speed(max(each.indexing for each in speeds), max((each.batches or 0) for each in speeds) or None)
        for name, speeds in results.items()
    }


def encoded_again(folder: Path) -> bytes:
    """Another encoding of the first photograph, so that it is no known content."""
    file = io.BytesIO()
    Image.open(min(folder.iterdir())).save(file, "JPEG", quality=91)
    return file.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rclip", help="the command of rclip 3.3.0")
    parser.add_argument("--rclip-data", type=Path, help="the folder with its model")
    parser.add_argument("--counts", type=int, nargs=2, default=(60, 400), help="photographs, large and small")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--precisions", nargs="+", default=("fp32", "auto"))
    parser.add_argument("--threads", type=int, default=0, help="that read ahead; 0: as update chooses")
    parser.add_argument("--keep", type=Path, help="a folder for photographs and model, made once and used again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = options.keep or Path(temporary)
        if not place.is_dir() or not any(place.iterdir()):
            place.mkdir(exist_ok=True)
            model_file(place)
            for (name, (size, noise)), count in zip(KINDS.items(), options.counts, strict=True):
                make_folder(place / name, size, noise, count)
        report(place, options)


def report(place: Path, options: argparse.Namespace) -> None:
    model = place / "b32-256.safetensors"
    sides: dict[str, Side] = {
        precision: functools.partial(run_ours, model, precision, options.threads) for precision in options.precisions
    }
    if options.rclip:
        sides = {"rclip": functools.partial(run_rclip, options.rclip, options.rclip_data), **sides}
    print(f"# Indexing\n\n{describe()}\n- ViT-B/32 at 256 px, random weights; load average {os.getloadavg()[0]:.1f}\n")
    print("Asked: 3x rclip in fp32 and 4.5x at auto for 12 megapixels, 1.4x and 2.5x for 500 x 375;")
    print("70 % of the model's own batches for 500 x 375.\n")
    print("| photographs | side | images/s | against rclip | of the model's own batches |\n|---|---|---|---|---|")
    for kind in KINDS:
        speeds = measured(sides, place / kind, options.rounds)
        for name, speed in speeds.items():
            ratio = f"{speed.indexing / speeds['rclip'].indexing:.2f}x" if "rclip" in speeds else ""
            share = f"{speed.indexing / speed.batches:.0%} of {speed.batches:.1f}/s" if speed.batches else ""
            print(f"| {kind} | {name} | {speed.indexing:.1f} | {ratio} | {share} |", flush=True)


if __name__ == "__main__":
    main()
