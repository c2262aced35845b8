from __future__ import annotations

import errno
import io
import os
import random
import struct
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipwright.errors import ImageError
from clipwright.inputs.images import MAX_PIXELS, ImageSource, open_image
from tests.inputs.pictures import (
    BLUE,
    GREEN,
    RED,
    YELLOW,
    cmyk_profile,
    encoded,
    exif,
    png,
    quadrants,
    shows_quadrants,
)
from tests.inputs.tiff_files import LZW, tiff
from tests.support import DATA

WHITE = (255, 255, 255)
HEIC = DATA / "heic" / "quadrants.heic"
"""Quadrants as pillow-heif 1.8.1 wrote them."""
TURNED_HEIC = DATA / "heic" / "quadrants-turned.heic"
"""The same, stored on its side as telephones do: 'irot' in the container and orientation 6 in the EXIF."""

FILES = {
    "jpeg": encoded(quadrants(), "JPEG", quality=95, exif=exif(1)),
    "progressive.jpeg": encoded(quadrants(), "JPEG", quality=95, progressive=True),
    "png": encoded(quadrants(), "PNG", exif=exif(1)),
    "palette.png": encoded(quadrants().quantize(8), "PNG"),
    "webp": encoded(quadrants(), "WEBP", quality=95, exif=exif(1)),
    "lossless.webp": encoded(quadrants(), "WEBP", lossless=True),
    "avif": encoded(quadrants(), "AVIF", quality=95, exif=exif(1)),
    "heic": HEIC.read_bytes(),
    "turned.heic": TURNED_HEIC.read_bytes(),
    "tiff": encoded(quadrants(), "TIFF", exif=exif(1)),
    "lzw.tiff": encoded(quadrants(), "TIFF", compression="tiff_lzw"),
    "deflate.tiff": encoded(quadrants(), "TIFF", compression="tiff_adobe_deflate"),
    "jpeg.tiff": encoded(quadrants(), "TIFF", compression="jpeg", quality=95),
    "wide.tiff": tiff(np.asarray(quadrants()).astype(np.uint16) * 257, 2, apart=True, compression=LZW, rows=7),
    "gif": encoded(quadrants(), "GIF"),
    "animated.gif": encoded(quadrants(), "GIF", save_all=True, append_images=[Image.new("RGB", (64, 48))]),
    "animated.webp": encoded(quadrants(), "WEBP", save_all=True, append_images=[Image.new("RGB", (64, 48))]),
    "animated.png": encoded(quadrants(), "PNG", save_all=True, append_images=[Image.new("RGB", (64, 48))]),
    "bmp": encoded(quadrants(), "BMP"),
    "palette.bmp": encoded(quadrants().quantize(8), "BMP"),
    "jp2": encoded(quadrants(), "JPEG2000"),
    "mpo": encoded(quadrants(), "MPO", quality=95, save_all=True, append_images=[Image.new("RGB", (64, 48))]),
    "ppm": encoded(quadrants(), "PPM"),
    "dib": encoded(quadrants(), "DIB"),
}


def colour(source: ImageSource, x: int = 0, y: int = 0) -> tuple[int, ...]:
    pixel = open_image(source).getpixel((x, y))
    assert isinstance(pixel, tuple)
    return tuple(int(value) for value in pixel)


def refusal(source: ImageSource) -> ImageError:
    with pytest.raises(ImageError) as refused:
        open_image(source)
    return refused.value


# What is read


@pytest.mark.parametrize("name", FILES)
def test_every_format_is_opened_in_its_colours_first_frame_and_all(name: str) -> None:
    assert shows_quadrants(open_image(FILES[name]))


def test_a_format_that_would_start_another_program_is_not_read() -> None:
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    assert refusal(postscript).code == "not_an_image"


# Upright

STORED: dict[int, Callable[[Image.Image], Image.Image]] = {
    1: lambda upright: upright,
    2: lambda upright: upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    3: lambda upright: upright.transpose(Image.Transpose.ROTATE_180),
    4: lambda upright: upright.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    5: lambda upright: upright.transpose(Image.Transpose.TRANSPOSE),
    6: lambda upright: upright.transpose(Image.Transpose.ROTATE_90),  # counter-clockwise; to be turned clockwise
    7: lambda upright: upright.transpose(Image.Transpose.TRANSVERSE),
    8: lambda upright: upright.transpose(Image.Transpose.ROTATE_270),
}
"""How a camera stores the upright picture under each EXIF orientation (Exif 2.32, 4.6.4.A)."""


@pytest.mark.parametrize("orientation", STORED)
def test_rotated_photo_is_opened_upright(orientation: int) -> None:
    photo = encoded(STORED[orientation](quadrants()), "JPEG", quality=95, exif=exif(orientation))
    assert shows_quadrants(open_image(photo))


@pytest.mark.parametrize("picture_format", ["PNG", "WEBP", "TIFF", "AVIF", "MPO"])
def test_rotation_counts_in_every_format_that_can_say_it(picture_format: str) -> None:
    photo = encoded(STORED[6](quadrants()), picture_format, quality=95, exif=exif(6))
    assert shows_quadrants(open_image(photo))


def test_rotation_is_read_from_xmp_where_there_is_no_exif() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    assert shows_quadrants(open_image(encoded(STORED[6](quadrants()), "JPEG", quality=95, xmp=xmp)))


def test_a_pillow_picture_that_was_only_opened_is_turned_too() -> None:
    with Image.open(io.BytesIO(encoded(STORED[8](quadrants()), "JPEG", quality=95, exif=exif(8)))) as picture:
        assert shows_quadrants(open_image(picture))


def test_a_turned_picture_that_is_opened_again_is_not_turned_again() -> None:
    once = open_image(encoded(STORED[6](quadrants()), "JPEG", quality=95, exif=exif(6)))
    assert shows_quadrants(open_image(once))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation: int) -> None:
    assert shows_quadrants(open_image(encoded(quadrants(), "JPEG", quality=95, exif=exif(orientation))))


@pytest.mark.parametrize("cut", [7, 12, 20, 25])
def test_broken_exif_keeps_the_picture(cut: int, recwarn: pytest.WarningsRecorder) -> None:
    warnings.simplefilter("always")
    photo = encoded(quadrants(), "JPEG", quality=95, exif=exif(6)[:cut])
    assert shows_quadrants(open_image(photo))
    assert not recwarn.list


def test_a_photo_is_upright_though_another_tag_is_broken(recwarn: pytest.WarningsRecorder) -> None:
    warnings.simplefilter("always")
    tags = Image.Exif()
    tags[0x010E], tags[0x0112] = "a description of some length", 6
    broken = tags.tobytes().replace(struct.pack(">HHI", 0x010E, 2, 29), struct.pack(">HHI", 0x010E, 2, 9999))
    assert broken != tags.tobytes()
    assert shows_quadrants(open_image(encoded(STORED[6](quadrants()), "JPEG", quality=95, exif=broken)))
    assert not recwarn.list


# Colours and depths


def test_palette_is_expanded() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    assert colour(encoded(palette, "PNG"), 1) == (40, 50, 60)


@pytest.mark.parametrize("picture_format", ["PNG", "GIF"])
def test_transparent_colour_of_a_palette_becomes_white(picture_format: str) -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    file = encoded(palette, picture_format, transparency=0)
    assert [colour(file), colour(file, 1)] == [WHITE, (40, 50, 60)]


def test_half_transparent_colour_of_a_palette_is_laid_on_white() -> None:
    palette = Image.new("P", (1, 1))
    palette.putpalette([0, 0, 0, 1, 1, 1])
    assert colour(encoded(palette, "PNG", transparency=bytes([128, 255]))) == (127, 127, 127)


@pytest.mark.parametrize(("stored", "seen"), [(0, 0), (128, 0), (129, 1), (32768, 128), (40000, 156), (65535, 255)])
def test_16_bit_grey_png_is_scaled_not_clipped(stored: int, seen: int) -> None:
    assert colour(png(1, 1, 16, 0, stored.to_bytes(2, "big"))) == (seen, seen, seen)


@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_16_bit_tiff_is_scaled_not_clipped(byte_order: str) -> None:
    grey = Image.frombytes("I;16" if byte_order == "<" else "I;16B", (2, 1), struct.pack(f"{byte_order}2H", 32768, 300))
    file = encoded(grey, "TIFF")
    assert [colour(file), colour(file, 1)] == [(128, 128, 128), (1, 1, 1)]


def test_16_bit_colour_png_is_scaled_not_clipped() -> None:
    assert colour(png(1, 1, 16, 2, struct.pack(">3H", 65535, 32768, 0))) == (255, 128, 0)


def test_float_tiff_from_0_to_1_fills_the_range() -> None:
    file = encoded(Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32)), "TIFF")
    assert [colour(file, x)[0] for x in range(3)] == [0, 128, 255]


def test_float_tiff_from_0_to_255_keeps_its_values() -> None:
    file = encoded(Image.fromarray(np.array([[0.0, 100.0, 255.0]], np.float32)), "TIFF")
    assert [colour(file, x)[0] for x in range(3)] == [0, 100, 255]


def test_float_tiff_of_any_range_is_scaled_to_its_largest_value() -> None:
    file = encoded(Image.fromarray(np.array([[-5.0, 1e6, 2e6]], np.float32)), "TIFF")
    assert [colour(file, x)[0] for x in range(3)] == [0, 128, 255]


def test_float_tiff_with_holes_shows_them_black() -> None:
    file = encoded(Image.fromarray(np.array([[np.nan, 1.0]], np.float32)), "TIFF")
    assert [colour(file, x)[0] for x in range(2)] == [0, 255]


def test_32_bit_integer_tiff_is_scaled_to_its_largest_value() -> None:
    file = encoded(Image.fromarray(np.array([[0, 1_000_000, 2_000_000]], np.int32)), "TIFF")
    assert [colour(file, x)[0] for x in range(3)] == [0, 128, 255]


def test_grey_becomes_rgb() -> None:
    assert colour(encoded(Image.new("L", (1, 1), 77), "JPEG")) == (77, 77, 77)


@pytest.mark.parametrize("picture_format", ["PNG", "TIFF", "BMP", "GIF"])
def test_1_bit_is_black_and_white(picture_format: str) -> None:
    bits = Image.new("1", (2, 1))
    bits.putpixel((1, 0), 1)
    file = encoded(bits, picture_format)
    assert [colour(file), colour(file, 1)] == [(0, 0, 0), WHITE]


@pytest.mark.parametrize(("alpha", "seen"), [(255, (200, 0, 0)), (0, WHITE), (128, (227, 127, 127))])
def test_alpha_is_laid_on_white(alpha: int, seen: tuple[int, ...]) -> None:
    assert colour(encoded(Image.new("RGBA", (1, 1), (200, 0, 0, alpha)), "PNG")) == seen


@pytest.mark.parametrize(("picture_format", "options"), [("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})])
def test_alpha_is_laid_on_white_in_other_formats(picture_format: str, options: dict[str, bool]) -> None:
    file = encoded(Image.new("RGBA", (1, 1), (200, 0, 0, 0)), picture_format, **options)
    assert colour(file) == WHITE


def test_grey_with_alpha_is_laid_on_white() -> None:
    assert colour(encoded(Image.new("LA", (1, 1), (0, 128)), "PNG")) == (127, 127, 127)


def test_the_transparent_colour_of_an_rgb_png_becomes_white() -> None:
    file = encoded(quadrants(), "PNG", transparency=RED)
    assert [colour(file), colour(file, 40)] == [WHITE, GREEN]


def test_the_transparent_grey_of_a_grey_png_becomes_white() -> None:
    file = encoded(Image.new("L", (1, 1), 7), "PNG", transparency=7)
    assert colour(file) == WHITE


def test_cmyk_without_a_profile_is_converted_plainly() -> None:
    file = encoded(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "JPEG", quality=100)
    assert colour(file) == (0, 255, 255)


def test_cmyk_is_converted_by_its_own_profile() -> None:
    file = encoded(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "JPEG", quality=100, icc_profile=cmyk_profile())
    red, green, blue = colour(file)
    assert red > 200
    assert max(green, blue) < 60


@pytest.mark.parametrize("profile", [b"no profile", cmyk_profile()[:200], cmyk_profile()[:1500]])
def test_cmyk_with_a_broken_profile_is_converted_plainly(profile: bytes) -> None:
    file = encoded(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "JPEG", quality=100, icc_profile=profile)
    assert colour(file) == (0, 255, 255)


# Sources


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_may_be_a_string_or_a_path(kind: type[str | Path], tmp_path: Path) -> None:
    path = tmp_path / "quadrants.png"
    quadrants().save(path)
    assert shows_quadrants(open_image(kind(path)))


def test_a_pillow_picture_is_left_as_it_is() -> None:
    picture = Image.new("RGBA", (2, 2), (0, 0, 0, 0))
    open_image(picture)
    assert (picture.mode, picture.getpixel((0, 0))) == ("RGBA", (0, 0, 0, 0))


def test_painting_on_what_was_opened_leaves_the_source_alone() -> None:
    picture = quadrants()
    open_image(picture).putpixel((0, 0), WHITE)
    assert shows_quadrants(picture)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr", "HSV", "I", "F"]
)
def test_a_pillow_picture_of_any_mode_becomes_rgb(mode: str) -> None:
    opened = open_image(Image.new(mode, (5, 4)))
    assert (opened.mode, opened.size) == ("RGB", (5, 4))


@pytest.mark.parametrize(
    ("array", "seen"),
    [
        (np.array([[7]], np.uint8), (7, 7, 7)),
        (np.array([[[7]]], np.uint8), (7, 7, 7)),
        (np.array([[[1, 2, 3]]], np.uint8), (1, 2, 3)),
        (np.array([[[1, 2, 3, 255]]], np.uint8), (1, 2, 3)),
        (np.array([[[1, 2, 3, 0]]], np.uint8), WHITE),
        (np.array([[[65535, 32768, 0]]], np.uint16), (255, 128, 0)),
        (np.array([[32768]], ">u2"), (128, 128, 128)),
        (np.array([[[1.0, 0.5, 0.0]]], np.float32), (255, 128, 0)),
        (np.array([[[1.0, 0.5, -1e-6]]], np.float64), (255, 128, 0)),
        (np.array([[0.5]], np.float16), (128, 128, 128)),
        (np.array([[[0.0, 0.0, 0.0, 0.5]]], np.float32), (127, 127, 127)),
        (np.array([[True]]), WHITE),
        (np.array([[False]]), (0, 0, 0)),
    ],
    ids=lambda value: f"{value.dtype}{value.shape}" if isinstance(value, np.ndarray) else "",
)
def test_arrays_are_pictures(array: np.ndarray, seen: tuple[int, ...]) -> None:
    assert colour(array) == seen


def test_an_array_need_not_lie_in_one_piece() -> None:
    assert shows_quadrants(open_image(np.asarray(quadrants())[:, ::-1][:, ::-1]))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(3, np.uint8),
        np.zeros((2, 2, 2), np.uint8),
        np.zeros((3, 8, 8), np.uint8),
        np.zeros((1, 2, 2, 3), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((2, 2, 3), np.int64),
        np.zeros((2, 2, 3), np.int8),
        np.array([[1.5]]),
        np.array([[np.inf]]),
        np.array([[np.nan, 0.5]]),
        np.array([[-0.5, 0.5]]),
        np.array([["a"]]),
        np.array([[1j]]),
        np.array([[None]]),
        np.array([["2020-01-01"]], "datetime64[D]"),
        np.zeros((2, 2), [("red", "u1")]),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_that_are_no_pictures_are_refused(array: np.ndarray) -> None:
    assert refusal(array).code == "not_an_image"


def test_floats_may_be_beyond_black_and_white_by_rounding() -> None:
    assert np.asarray(open_image(np.array([[-1e-7, 1 + 1e-6]]))).max(axis=2).tolist() == [[0, 255]]


def test_an_array_of_too_many_pixels_is_refused() -> None:
    array = np.broadcast_to(np.uint8(0), (20_000, 20_000))  # claims its size, has one byte
    assert refusal(array).code == "too_large"


# What is refused


def test_a_photo_that_was_cut_off_is_truncated() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    file = encoded(noise, "JPEG")
    assert refusal(file[: len(file) // 2]).code == "truncated"


def test_a_text_named_jpg_is_not_an_image(tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("Dear diary,\n")
    assert refusal(path).code == "not_an_image"


def test_a_file_without_bytes_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty.png"
    path.touch()
    assert refusal(path).code == "empty"
    assert refusal(b"").code == "empty"


def test_a_pillow_picture_without_pixels_is_refused() -> None:
    assert refusal(Image.new("RGB", (0, 5))).code == "not_an_image"


def bmp_header(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *[0] * 6)


@pytest.mark.parametrize("side", [13_500, 15_000, 60_000])
@pytest.mark.parametrize("kind", ["png", "16-bit png", "bmp", "gif"])
def test_a_header_that_claims_too_many_pixels_is_refused_unread(side: int, kind: str) -> None:
    files = {
        "png": png(side, side, 8, 2, b""),
        "16-bit png": png(side, side, 16, 0, b""),
        "bmp": bmp_header(side, side),
        "gif": b"GIF89a" + struct.pack("<HHBBB", side, side, 0, 0, 0) + b",\0\0\0\0\1\0\1\0\0\2\2\x44\1\0;",
    }
    error = refusal(files[kind])
    assert error.code == "too_large"
    assert f"{MAX_PIXELS:,}" in str(error)


@pytest.mark.parametrize("name", FILES)
def test_a_caller_may_allow_fewer_pixels(name: str) -> None:
    assert shows_quadrants(open_image(FILES[name], max_pixels=64 * 48))
    with pytest.raises(ImageError, match="the limit is 3,071") as refused:
        open_image(FILES[name], max_pixels=64 * 48 - 1)
    assert refused.value.code == "too_large"


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nothing.jpg").code == "missing"


def test_a_file_below_a_file_is_missing(tmp_path: Path) -> None:
    (tmp_path / "album.jpg").write_bytes(FILES["jpeg"])
    assert refusal(tmp_path / "album.jpg" / "photo.jpg").code == "missing"


def test_no_failure_names_where_the_file_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def stale(*_: object, **__: object) -> None:
        raise OSError(errno.ESTALE, "Stale file handle", str(tmp_path / "a.jpg"))

    (tmp_path / "a.jpg").touch()
    monkeypatch.setattr(Path, "open", stale)
    failed = refusal(tmp_path / "a.jpg")
    assert (failed.code, str(failed)) == ("unreadable", "cannot be read: Stale file handle")


def test_a_folder_is_unreadable(tmp_path: Path) -> None:
    assert refusal(tmp_path).code == "unreadable"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes in folders")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert refusal(tmp_path / "pipe.jpg").code == "unreadable"


@pytest.mark.parametrize("name", ["a\0b.jpg", "long" * 2000 + ".jpg"])
def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    assert refusal(name).code == "unreadable"


def test_a_message_is_one_line() -> None:
    broken = bytearray(FILES["bmp"])
    broken[28] = 99  # bits a pixel
    assert "\n" not in str(refusal(bytes(broken)))


def mutations(file: bytes, count: int, seed: int) -> list[bytes]:
    """Damaged copies: cut short, bytes left out, bytes changed, most of them near the beginning."""
    chance = random.Random(seed)
    copies = []
    for _ in range(count):
        copy = bytearray(file)
        damage = chance.random()
        if damage < 0.15:
            del copy[chance.randrange(1, len(copy)) :]
        elif damage < 0.3:
            place = chance.randrange(len(copy))
            del copy[place : place + chance.randrange(1, 20)]
        else:
            reach = chance.choice([len(copy), min(len(copy), 300)])
            for _ in range(chance.choice([1, 1, 2, 8])):
                copy[chance.randrange(reach)] = chance.choice([0, 255, chance.randrange(256)])
        copies.append(bytes(copy))
    return copies


@pytest.mark.parametrize("name", FILES)
def test_whatever_the_bytes_there_is_a_picture_or_an_image_error_and_no_warning(name: str) -> None:
    with warnings.catch_warnings(record=True) as remarks:
        warnings.simplefilter("always")
        for file in mutations(FILES[name], 150, seed=len(name)):
            try:
                opened = open_image(file)
            except ImageError:
                continue
            assert opened.mode == "RGB"
            assert opened.width * opened.height > 0
    assert not remarks


# Threads


def test_eight_threads_open_what_one_opens() -> None:
    sources = list(FILES.values()) * 4
    alone = [open_image(source).tobytes() for source in sources]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda source: open_image(source).tobytes(), sources))
    assert together == alone


def test_warnings_are_filtered_as_before_once_threads_have_opened_pictures() -> None:
    before = list(warnings.filters)
    start = threading.Barrier(8)

    def open_some(seed: int) -> None:
        start.wait()
        for file in mutations(FILES["lzw.tiff"], 30, seed):
            try:
                open_image(file)
            except ImageError:
                continue

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(open_some, range(8)))
    assert list(warnings.filters) == before


def test_blue_and_yellow_are_where_they_belong() -> None:
    """shows_quadrants is what most tests here rest on."""
    assert [colour(quadrants(), 0, 40), colour(quadrants(), 40, 40)] == [BLUE, YELLOW]
    assert not any(shows_quadrants(STORED[turn](quadrants())) for turn in range(2, 9))
