from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clipwright.inputs import preprocess
from clipwright.inputs.images import open_image
from clipwright.inputs.input_spec import InputSpec
from clipwright.inputs.preprocess import normalise, prepare_image
from tests.support import REFERENCE

PICTURES = sorted((REFERENCE / "pictures").iterdir())


def spec(**changes: Any) -> InputSpec:
    values: dict[str, Any] = {"image_size": 224, "context_length": 77, "start_id": 0, "end_id": 1, "pad_id": 0}
    return InputSpec(**(values | changes))


def reference(table: str, picture: str) -> np.ndarray:
    with np.load(REFERENCE / table) as squares:
        return np.asarray(squares[picture])


def ramp(width: int, height: int) -> Image.Image:
    """A picture in which red tells the column and green the row."""
    array = np.zeros((height, width, 3), np.uint8)
    array[..., 0], array[..., 1] = np.arange(width), np.arange(height)[:, None]
    return Image.fromarray(array)


def test_there_is_a_reference_for_every_picture() -> None:
    names = {path.name for path in PICTURES}
    assert len(names) == 13
    for table in ("openai-pixels.npz", "squash-pixels.npz"):
        with np.load(REFERENCE / table) as squares:
            assert set(squares) == names


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_squares_equal_those_of_openai_to_the_byte(path: Path) -> None:
    square = prepare_image(open_image(path), spec(resize="shortest", crop_rounding="round"))
    assert square.dtype == np.uint8
    np.testing.assert_array_equal(square, reference("openai-pixels.npz", path.name))


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_squashed_squares_equal_those_of_siglip_to_the_byte(path: Path) -> None:
    square = prepare_image(open_image(path), spec(resize="squash"))
    np.testing.assert_array_equal(square, reference("squash-pixels.npz", path.name))


@pytest.mark.parametrize(("excess", "rounded", "floored"), [(0, 0, 0), (1, 0, 0), (2, 1, 1), (3, 2, 1), (5, 2, 2)])
def test_half_a_pixel_is_settled_as_openai_or_as_hugging_face(excess: int, rounded: int, floored: int) -> None:
    """A picture of the right height is not resized, so the first value of red is where the crop begins."""
    wide, tall = ramp(32 + excess, 32), ramp(32, 32 + excess)
    for rule, start in (("round", rounded), ("floor", floored)):
        cropped = spec(image_size=32, crop_rounding=rule)
        assert prepare_image(wide, cropped)[0, 0, 0] == start
        assert prepare_image(tall, cropped)[0, 0, 1] == start


def test_the_crop_is_the_same_under_both_rules_where_no_half_pixel_is_left() -> None:
    image = open_image(REFERENCE / "pictures" / "coffee.jpg")
    rounded, floored = prepare_image(image, spec()), prepare_image(image, spec(crop_rounding="floor"))
    np.testing.assert_array_equal(rounded, floored)


def test_longest_keeps_the_whole_picture_and_fills_the_rest() -> None:
    square = prepare_image(Image.new("RGB", (40, 20), (9, 8, 7)), spec(image_size=8, resize="longest", fill=(1, 2, 3)))
    filled, picture = np.array([1, 2, 3]), np.array([9, 8, 7])
    assert square.shape == (8, 8, 3)
    assert (square[:2] == filled).all()
    assert (square[2:6] == picture).all()
    assert (square[6:] == filled).all()


def test_longest_rounds_the_shorter_side_as_openclip_does() -> None:
    """493 / (1856 / 224) lies below 59.5 in float64, and 224 * 493 / 1856 does not."""
    square = prepare_image(Image.new("RGB", (1856, 493), "white"), spec(image_size=224, resize="longest"))
    assert int(square[:, 0, 0].astype(bool).sum()) == 59


def test_longest_keeps_at_least_one_pixel_of_a_strip() -> None:
    square = prepare_image(Image.new("RGB", (1, 1000), "white"), spec(image_size=8, resize="longest"))
    assert [int(column.max()) for column in square.transpose(1, 0, 2)] == [0, 0, 0, 255, 0, 0, 0, 0]


def test_bilinear_differs_from_bicubic() -> None:
    image = open_image(REFERENCE / "pictures" / "chelsea.png")
    bicubic, bilinear = prepare_image(image, spec()), prepare_image(image, spec(interpolation="bilinear"))
    assert 0 < np.abs(bicubic.astype(int) - bilinear).max() < 64


@pytest.mark.parametrize("size", [(1, 100_000), (100_000, 1), (3, 60_000), (7, 200_001)])
@pytest.mark.parametrize("resize", ["shortest", "squash", "longest"])
def test_a_very_long_picture_becomes_a_small_square(size: tuple[int, int], resize: str) -> None:
    """Resized whole as 'shortest' says, the first would take fifteen gigabytes on its way."""
    square = prepare_image(Image.new("RGB", size, (10, 20, 30)), spec(resize=resize))
    assert square.shape == (224, 224, 3)
    assert (square[111, 111] == (10, 20, 30)).all()


@pytest.mark.parametrize("name", ["chelsea.png", "noise-tall-3x900.png", "noise-223x231.png"])
def test_cutting_before_resizing_shows_the_same_place(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = open_image(REFERENCE / "pictures" / name)
    ordinary = prepare_image(image, spec()).astype(int)
    monkeypatch.setattr(preprocess, "_LARGEST_RESIZE", 0)
    assert np.abs(prepare_image(image, spec()) - ordinary).mean() < 1


def test_normalised_pixels_are_value_by_255_minus_mean_by_std() -> None:
    squares = np.zeros((2, 3, 3, 3), np.uint8)
    squares[1, 0, 2] = (255, 51, 0)
    pixels = normalise(squares, spec(image_size=3, mean=(0.5, 0.1, 0.25), std=(0.25, 0.2, 0.5)))
    assert pixels.shape == (2, 3, 3, 3)
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels[1, :, 0, 2], [2.0, 0.5, -0.5], rtol=1e-6)
    np.testing.assert_allclose(pixels[0, :, 1, 1], [-2.0, -0.5, -0.5], rtol=1e-6)


def test_normalised_pixels_have_channels_before_rows() -> None:
    squares = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    pixels = normalise(squares, spec(image_size=8, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)))
    np.testing.assert_array_equal(pixels, squares.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255))


def test_openai_normalises_white_to_its_published_numbers() -> None:
    pixels = normalise(np.full((1, 1, 1, 3), 255, np.uint8), spec(image_size=1))
    np.testing.assert_allclose(pixels.ravel(), [1.93033625, 2.07488384, 2.14589699], rtol=1e-6)
