"""How fast is a folder indexed, beside rclip, and how much of the model's own speed is left?

rclip 3.3.0 itself, at its model and size (ViT-B/32 at 256 px), in processes of its own; ours with a model of the same
size and random weights, thumbnails and perceptual hashes included. What a process takes for one photograph is
subtracted from what it takes for all, so that starting is not counted on either side.

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
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
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
from clipwright.embedding.load import load_embedder
from clipwright.index.photo_index import PhotoIndex
model, folder, database, precision, threads = sys.argv[1:]
embedder = load_embedder(model, pixels="fast", precision=precision)
with PhotoIndex.open(Path(database)) as photos:
    counts = photos.update([Path(folder)], embedder, threads=int(threads) or None)
print(embedder.variant, counts.embedded)
"""
BATCHES = """
import sys, time
import numpy as np
from clipwright.embedding.load import load_embedder
embedder = load_embedder(sys.argv[1], precision=sys.argv[2])
pixels = np.random.default_rng(0).standard_normal((32, 3, *2 * [embedder.spec.image_size]), np.float32)
seconds = []
for _ in range(7):
    begun = time.perf_counter()
    embedder.image_features(pixels)
    seconds.append(time.perf_counter() - begun)
print(len(pixels) / min(seconds))
"""


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


def seconds_of(command: list[str], folder: Path, **environment: str) -> float:
    begun = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return time.perf_counter() - begun


def run_rclip(command: str, data: Path, folder: Path) -> float:
    (data / "db.sqlite3").unlink(missing_ok=True)
    return seconds_of([command, "-t", "1", "a dog"], folder, RCLIP_DATADIR=str(data))


def run_ours(model: Path, precision: str, threads: int, folder: Path) -> float:
    with tempfile.TemporaryDirectory() as place:
        arguments = [str(model), str(folder), str(Path(place, "photos.db")), precision, str(threads)]
        return seconds_of([sys.executable, "-c", OURS, *arguments], folder)


def model_file(folder: Path) -> Path:
    """A random ViT-B/32 that reads 256 px."""
    base = OPENAI_CONFIGS["ViT-B/32"]
    config = dataclasses.replace(base, vision=dataclasses.replace(base.vision, image_size=256))
    path = folder / "b32-256.safetensors"
    save_model(path, random_model(config))
    return path


def batch_throughput(model: Path, precision: str) -> float:
    """Pictures a second of the image tower alone, 32 at once."""
    arguments = [sys.executable, "-c", BATCHES, str(model), precision]
    return float(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)


def speeds(sides: dict[str, Callable[[Path], float]], folder: Path, rounds: int) -> dict[str, float]:
    """Photographs a second of each side."""
    photographs = sorted(folder.iterdir())
    with tempfile.TemporaryDirectory() as one:
        shutil.copy(photographs[0], one)
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        starting: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, side in sides.items():
                starting[name].append(side(Path(one)))
                seconds[name].append(side(folder))
    return {name: (len(photographs) - 1) / (min(seconds[name]) - min(starting[name])) for name in sides}


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
    sides: dict[str, Callable[[Path], float]] = {
        precision: functools.partial(run_ours, model, precision, options.threads) for precision in options.precisions
    }
    if options.rclip:
        sides = {"rclip": functools.partial(run_rclip, options.rclip, options.rclip_data), **sides}
    print(f"# Indexing\n\n{describe()}\n- ViT-B/32 at 256 px, random weights; load average {os.getloadavg()[0]:.1f}\n")
    print("Asked: 3x rclip in fp32 and 4.5x at auto for 12 megapixels, 1.4x and 2.5x for 500 x 375;")
    print("70 % of the model's own batches for 500 x 375.\n")
    print("| photographs | side | images/s | against rclip | of the model's own batches |\n|---|---|---|---|---|")
    own = {precision: batch_throughput(model, precision) for precision in options.precisions}
    for kind in KINDS:
        measured = speeds(sides, place / kind, options.rounds)
        for name, speed in measured.items():
            ratio = f"{speed / measured['rclip']:.2f}x" if "rclip" in measured else ""
            share = f"{speed / own[name]:.0%} of {own[name]:.1f}/s" if name in own else ""
            print(f"| {kind} | {name} | {speed:.1f} | {ratio} | {share} |", flush=True)


if __name__ == "__main__":
    main()
