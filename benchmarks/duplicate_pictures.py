"""A collection whose duplicates are known, made from real photographs.

Every photograph is enlarged to a scene of 600 x 450 and photographed: frame 0 is the middle nine tenths of it. Copies
are made from frame 0 as people make them; the further frames of a burst are other looks at the scene. The rest of the
photographs are there once.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image, ImageDraw, ImageEnhance

from clipwright.index.perceptual_hash import perceptual_hash

SCENE = (600, 450)
FRAME = 0.9
"""Side of a frame in sides of its scene."""
COPIES = (
    "JPEG 30-95",
    "WebP 30-90",
    "resized 0.25-2x",
    "cropped 2-5 %",
    "cropped 5-10 %",
    "brighter, darker",
    "contrast",
)
BURST = "burst"
ORIGINAL = "original"


@dataclass(frozen=True)
class Picture:
    """One file of the collection."""

    data: bytes
    photograph: int
    """Which photograph it shows; pictures of one are duplicates, of two are not."""
    made: str
    taken: float | None
    camera: str | None


def photographs(parquet: Path) -> list[bytes]:
    """The encoded pictures of a data set's rows."""
    return [row["bytes"] for row in pq.read_table(parquet, columns=["image"])["image"].to_pylist()]


def once(images: list[bytes]) -> list[bytes]:
    """Without those whose hash is within 3 bits of an earlier one's: the data sets hold some pictures twice."""
    hashes = [perceptual_hash(Image.open(io.BytesIO(image)).convert("RGB")) for image in images]
    kept: list[int] = []
    looks = np.zeros(len(images), np.uint64)
    for place, look in enumerate(np.array(hashes, np.uint64)):
        if not kept or np.bitwise_count(looks[: len(kept)] ^ look).min() > 3:
            looks[len(kept)] = look
            kept.append(place)
    return [images[place] for place in kept]


def collection(images: list[bytes], with_duplicates: int, pages: int, seed: int) -> Iterator[Picture]:
    """The first with_duplicates images with a copy of each kind and three more frames; the rest, and pages, once.

    images are in the order in which they were taken, a second apart, so that the clock tells no two of them apart.
    Every second photograph says when and with what it was taken; of its copies, every second lost that.
    """
    random = np.random.default_rng(seed)
    duplicated = set(random.permutation(len(images))[:with_duplicates].tolist())
    for number, image in enumerate(images):
        scene = Image.open(io.BytesIO(image)).convert("RGB").resize(SCENE, Image.Resampling.LANCZOS)
        says = number % 2 == 0
        taken, camera = (float(number), "one") if says else (None, None)
        first = frame(scene, (0, 0), 0, 1, 2, random)
        yield Picture(saved(first, "JPEG", 92), number, ORIGINAL, taken, camera)
        if number not in duplicated:
            continue
        for kind in COPIES:
            kept = says and bool(random.integers(2))
            yield Picture(copy(first, kind, random), number, kind, taken if kept else None, camera if kept else None)
        for later in range(1, 4):
            shift = random.uniform(-0.03, 0.03, 2)
            turn = random.uniform(1, 2) * random.choice([-1, 1])
            shot = frame(scene, shift, turn, random.uniform(0.85, 1.18), random.uniform(2, 6), random)
            when = None if taken is None else taken + later // 2  # the first within the same second
            yield Picture(saved(shot, "JPEG", 92), number, BURST, when, camera)
    for number in range(pages):
        yield Picture(saved(page(random), "PNG", 0), len(images) + number, ORIGINAL, None, None)


def frame(
    scene: Image.Image,
    shift: np.ndarray | tuple[int, int],
    turn: float,
    light: float,
    noise: float,
    random: np.random.Generator,
) -> Image.Image:
    """A look at a scene: moved by a share of its sides, turned by degrees, exposed by a factor, with sensor noise."""
    width, height = scene.size
    left, top = ((1 - FRAME) / 2 + shift[0]) * width, ((1 - FRAME) / 2 + shift[1]) * height
    turned = scene.rotate(turn, Image.Resampling.BICUBIC) if turn else scene
    size = (round(width * FRAME), round(height * FRAME))
    cut = turned.transform(size, Image.Transform.AFFINE, (1, 0, left, 0, 1, top), Image.Resampling.BICUBIC)
    grain = random.standard_normal((size[1], size[0], 1), np.float32) * noise
    return Image.fromarray(np.clip(np.asarray(cut, np.float32) * light + grain, 0, 255).astype(np.uint8))


def copy(image: Image.Image, kind: str, random: np.random.Generator) -> bytes:
    if kind == "WebP 30-90":
        return saved(image, "WEBP", int(random.integers(30, 91)))
    changed = image
    if kind == "resized 0.25-2x":
        factor = 2 ** random.uniform(-2, 1)
        size = (round(image.width * factor), round(image.height * factor))
        changed = image.resize(size, Image.Resampling.LANCZOS)
    elif kind == "cropped 2-5 %":
        changed = cropped(image, random.uniform(0.02, 0.05), random)
    elif kind == "cropped 5-10 %":
        changed = cropped(image, random.uniform(0.05, 0.10), random)
    elif kind == "brighter, darker":
        changed = ImageEnhance.Brightness(image).enhance(random.uniform(0.75, 1.3))
    elif kind == "contrast":
        changed = ImageEnhance.Contrast(image).enhance(random.uniform(0.7, 1.3))
    return saved(changed, "JPEG", int(random.integers(30, 96)) if changed is image else 90)


def cropped(image: Image.Image, share: float, random: np.random.Generator) -> Image.Image:
    """Without a share of each side, from a random place."""
    width, height = round(image.width * (1 - share)), round(image.height * (1 - share))
    left, top = int(random.integers(image.width - width + 1)), int(random.integers(image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


def page(random: np.random.Generator) -> Image.Image:
    """A page of print: what looks alike and is not."""
    image = Image.new("RGB", (420, 594), "white")
    draw = ImageDraw.Draw(image)
    letters = np.array(list("etaoinshrdlucmf     "))
    for line in range(int(random.integers(20, 48))):
        draw.text((30, 24 + 12 * line), "".join(random.choice(letters, int(random.integers(20, 62)))), "black")
    return image


def saved(image: Image.Image, kind: str, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, quality=quality)
    return file.getvalue()
