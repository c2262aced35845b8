"""What does --pixels fast gain on large JPEGs, and how near are its vectors to exact ones?

Photographs of Flickr8k's test split: as they are, and made into 12 megapixels (enlarged, with the noise of a sensor,
saved at quality 90). Embedded by the starter, exact and fast. Run: python benchmarks/fast_pixels.py
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

import clipwright
from clipwright.inputs.images import open_image
from clipwright.inputs.preprocess import prepare_image
from machine import describe

FLICKR = Path("data/flickr8k/test.parquet")
LARGE = (4000, 3000)


def enlarged(data: bytes, seed: int) -> bytes:
    """The photograph at 12 megapixels, lying or upright as it is, with noise of a standard deviation of 4 levels."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    size = LARGE if image.width >= image.height else LARGE[::-1]
    pixels = np.asarray(image.resize(size, Image.Resampling.LANCZOS), np.float32)
    noise = np.random.default_rng(seed).standard_normal(pixels.shape[:2], np.float32)[..., None]
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels + 4 * noise, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def compare(name: str, photographs: list[bytes], captions: list[str]) -> None:
    exact, fast = clipwright.load("starter"), clipwright.load("starter", pixels="fast")
    texts = exact.embed_texts(captions)
    a, b = exact.embed_images(photographs), fast.embed_images(photographs)
    centred_a, centred_b = a - a.mean(axis=0), b - a.mean(axis=0)
    lengths = np.linalg.norm(centred_a, axis=1) * np.linalg.norm(centred_b, axis=1)
    cosines = (centred_a * centred_b).sum(axis=1) / lengths
    recall = np.mean([len({*x} & {*y}) / 10 for x, y in zip(best(texts, a), best(texts, b), strict=True)])
    print(
        f"| {name} | {len(photographs)} | {cosines.mean():.4f} (least {cosines.min():.4f}) | {recall:.3f} |", flush=True
    )


def best(texts: np.ndarray, images: np.ndarray) -> np.ndarray:
    return np.argsort(-(texts @ images.T), axis=1, kind="stable")[:, :10]


def speeds(photographs: list[bytes], size: int, rounds: int) -> None:
    """Opening and preparing on one thread, exact and fast in turns."""
    spec = clipwright.load("starter").spec
    seconds: dict[int | None, list[float]] = {None: [], size: []}
    for _ in range(rounds):
        for least in (None, size):
            begun = time.perf_counter()
            for data in photographs:
                prepare_image(open_image(data, least), spec)
            seconds[least].append((time.perf_counter() - begun) / len(photographs))
    ratio = statistics.median(a / b for a, b in zip(seconds[None], seconds[size], strict=True))
    exact, fast = (1 / statistics.median(seconds[least]) for least in (None, size))
    print(f"| {size} px | {exact:.1f} | {fast:.1f} | {ratio:.1f}x |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=int, default=1000)
    parser.add_argument("--large", type=int, default=200)
    options = parser.parse_args()
    table = pq.read_table(FLICKR).slice(0, options.photographs)
    photographs = [row["bytes"] for row in table["image"].to_pylist()]
    captions = [row[0][:100] for row in table["captions"].to_pylist()]
    large = [enlarged(data, seed) for seed, data in enumerate(photographs[: options.large])]
    print(f"# Fast pixels\n\n{describe()}\n\n## Nearness (asked: cosine >= 0.98, recall@10 >= 0.97)\n")
    print("| photographs | number | centred cosine to exact | recall@10 of captions |\n|---|---|---|---|")
    compare("as they are", photographs, captions)
    compare("12 megapixels", large, captions[: len(large)])
    print("\n## Speed on 12 megapixels (asked: >= 3x)\n\n| read at | exact/s | fast/s | ratio |\n|---|---|---|---|")
    for size in (96, 224, 384):
        speeds(large[:12], size, 3)


if __name__ == "__main__":
    main()
