"""However many photographs and however large, the process that embeds them stays small."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MEASURED = """
import sys
from clipwright.embedding.load import load_embedder
from clipwright.index.reading import read_photo
from clipwright.index.scan import scan

folder, pixels = sys.argv[1:]
embedder = load_embedder("starter", pixels=pixels)

def prepare(file):
    return read_photo(file, embedder.spec, pixels=pixels, thumbnails=True, is_known=lambda _: False)

stream = embedder.stream_prepared(scan(folder.encode()), prepare, lambda photo: photo.square)
vectors = sum(vector is not None for _, _, vector in stream)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))  # resource counts the parent's memory too
print(vectors, int(status["VmHWM"].split()[0]) // 1024)
"""


def most_memory(folder: Path, pixels: str) -> tuple[int, int]:
    """How many vectors came, and the most memory that the process had, in MiB."""
    command = [sys.executable, "-W", "ignore::ResourceWarning", "-c", MEASURED, str(folder), pixels]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    vectors, memory = done.stdout.split()
    return int(vectors), int(memory)


def copies(folder: Path, data: bytes, count: int) -> Path:
    """A photograph under many names."""
    (folder / "0.jpg").write_bytes(data)
    for number in range(1, count):
        os.link(folder / "0.jpg", folder / f"{number}.jpg")
    return folder


def photograph(width: int, height: int, quality: int = 90, **options: object) -> bytes:
    """Noise on a slope, which takes as much as a photograph."""
    noise = np.random.default_rng(0).normal(0, 3, (500, 500, 1))
    slope = np.linspace(40, 210, 500)[:, None, None] + np.zeros((500, 500, 3))
    tile = Image.fromarray((slope + noise).clip(0, 255).astype(np.uint8))
    image = Image.new("RGB", (width, height))
    for x in range(0, width, 500):
        for y in range(0, height, 500):
            image.paste(tile, (x, y))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, **options)
    return file.getvalue()


@pytest.mark.slow
def test_two_thousand_photographs_of_12_megapixels_take_no_more_than_a_few(tmp_path: Path) -> None:
    vectors, memory = most_memory(copies(tmp_path, photograph(4000, 3000), 2000), "fast")
    assert vectors == 2000
    assert memory < 600


@pytest.mark.slow
def test_exact_pixels_of_12_megapixels_are_bounded_too(tmp_path: Path) -> None:
    vectors, memory = most_memory(copies(tmp_path, photograph(4000, 3000), 100), "exact")
    assert vectors == 100
    assert memory < 600


@pytest.mark.slow
def test_giant_pictures_are_opened_one_at_a_time(tmp_path: Path) -> None:
    """One of 100 megapixels takes 400 MB; progressive ones as much again as coefficients, even where fast."""
    (tmp_path / "plain").mkdir()
    vectors, memory = most_memory(copies(tmp_path / "plain", photograph(10_000, 10_000, 50), 8), "exact")
    assert vectors == 8
    assert memory < 800
    (tmp_path / "progressive").mkdir()
    data = photograph(10_000, 10_000, 50, progressive=True)
    vectors, memory = most_memory(copies(tmp_path / "progressive", data, 4), "fast")
    assert vectors == 4
    assert memory < 800
