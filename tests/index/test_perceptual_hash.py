from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from clipwright.index.perceptual_hash import perceptual_hash
from tests.support import REFERENCE

PICTURES = [
    REFERENCE / "pictures" / name for name in ("astronaut.jpg", "camera.png", "chelsea.png", "coffee.jpg", "rocket.jpg")
]


def distance(a: Image.Image, b: Image.Image) -> int:
    return (perceptual_hash(a) ^ perceptual_hash(b)).bit_count()


def saved(image: Image.Image, kind: str, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, kind, quality=quality)
    return Image.open(file).convert("RGB")


@pytest.fixture(params=PICTURES, ids=lambda path: path.stem)
def image(request: pytest.FixtureRequest) -> Image.Image:
    path: Path = request.param
    return Image.open(path).convert("RGB")


@pytest.mark.parametrize(("kind", "quality"), [("JPEG", 30), ("JPEG", 95), ("WEBP", 50)])
def test_a_picture_saved_again_has_nearly_the_same_hash(image: Image.Image, kind: str, quality: int) -> None:
    assert distance(image, saved(image, kind, quality)) <= 3


@pytest.mark.parametrize("factor", [0.25, 0.5, 2])
def test_a_resized_picture_has_nearly_the_same_hash(image: Image.Image, factor: float) -> None:
    size = (round(image.width * factor), round(image.height * factor))
    assert distance(image, image.resize(size, Image.Resampling.LANCZOS)) <= 3


def test_a_darker_picture_of_less_contrast_is_near(image: Image.Image) -> None:
    assert distance(image, ImageEnhance.Contrast(ImageEnhance.Brightness(image).enhance(0.8)).enhance(0.8)) <= 6


def test_a_mirrored_picture_is_another(image: Image.Image) -> None:
    assert distance(image, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) > 16


def test_different_pictures_are_far_apart() -> None:
    images = [Image.open(path).convert("RGB") for path in PICTURES]
    assert min(distance(a, b) for n, a in enumerate(images) for b in images[:n]) > 16


@pytest.mark.parametrize("colour", ["black", "white", "skyblue"])
def test_a_flat_picture_hashes_to_nothing_even_with_the_noise_of_a_sensor(colour: str) -> None:
    flat = Image.new("RGB", (400, 300), colour)
    noise = np.random.default_rng(3).normal(0, 4, (300, 400, 3))
    noisy = Image.fromarray(np.clip(np.asarray(flat) + noise, 0, 255).astype(np.uint8))
    assert perceptual_hash(flat) == perceptual_hash(noisy) == perceptual_hash(saved(noisy, "JPEG", 50)) == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (3, 2)])
def test_any_size_gives_64_bits(size: tuple[int, int]) -> None:
    assert 0 <= perceptual_hash(Image.new("RGB", size, "red")) < 2**64
