"""A JPEG that lacks its end is the picture where nothing else is missing, and cut where anything is."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clipwright.errors import ImageError
from clipwright.inputs.images import open_image
from tests.inputs.pictures import encoded, exif, quadrants, shows_quadrants

GRADIENT = np.add.outer(np.arange(51) * 2, np.arange(67) * 2).astype(np.uint8)
DRAWN = Image.fromarray(np.dstack([GRADIENT, GRADIENT[:, ::-1], GRADIENT[::-1]]))
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8))
PICTURES = {
    "drawn": DRAWN,
    "noise": NOISE,
    "grey": DRAWN.convert("L"),
    "inks": NOISE.convert("CMYK"),
    "flat": quadrants(),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "fine": {"quality": 95, "subsampling": 0},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 3},
    "progressive restarts": {"progressive": True, "restart_marker_rows": 1},
    "own codes": {"optimize": True, "quality": 40},
}


MARKS = bytes([*range(0xD0, 0xD8), 0xC4, 0xDA])
"""Restarts, tables and scans."""


def code(file: bytes) -> str:
    try:
        open_image(file)
    except ImageError as error:
        return error.code
    return "opened"


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("picture", PICTURES)
def test_without_its_end_a_jpeg_is_the_same_picture(picture: str, options: str) -> None:
    file = encoded(PICTURES[picture], "JPEG", **OPTIONS[options])
    for missing in (1, 2):
        assert open_image(file[:-missing]).tobytes() == open_image(file).tobytes()


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("picture", PICTURES)
def test_a_jpeg_that_lacks_more_is_truncated_or_the_same_picture(picture: str, options: str) -> None:
    file = encoded(PICTURES[picture], "JPEG", **OPTIONS[options])
    whole = open_image(file).tobytes()
    scan = file.index(b"\xff\xda")
    marks = [at for at in range(scan + 20, len(file) - 20) if file[at] == 0xFF and file[at + 1] in MARKS]
    for length in [*range(len(file) - 12, len(file) - 2), *marks[-6:], (scan + len(file)) // 2]:
        failed = code(file[:length])  # the last bits of some pictures change nothing
        assert failed == "truncated" or open_image(file[:length]).tobytes() == whole, length


@pytest.mark.parametrize("options", OPTIONS)
def test_of_a_noisy_picture_nothing_may_be_missing(options: str) -> None:
    file = encoded(NOISE, "JPEG", **OPTIONS[options])
    for missing in (5, 8, 20, 100, 300):
        assert code(file[:-missing]) == "truncated"


def test_a_progressive_jpeg_whose_last_scans_are_missing_is_truncated() -> None:
    file = encoded(DRAWN, "JPEG", progressive=True)
    scans = [at for at in range(len(file)) if file[at : at + 2] == b"\xff\xda"]
    assert len(scans) > 4
    for scan in scans[1:]:
        assert code(file[:scan]) == "truncated"
        table = file.rfind(b"\xff\xc4", 0, scan)
        assert code(file[:table]) == "truncated"


@pytest.mark.parametrize("count", [1, 3, 20])
def test_zeros_in_the_place_of_the_end_do_not_cost_the_picture(count: int) -> None:
    file = encoded(NOISE, "JPEG")
    assert open_image(file[:-2] + bytes(count)).tobytes() == open_image(file).tobytes()


def test_zeros_in_the_place_of_half_a_jpeg_are_no_picture() -> None:
    file = encoded(NOISE, "JPEG")
    assert code(file[: len(file) // 2] + bytes(200)) == "truncated"


def test_an_orientation_counts_without_an_end_too() -> None:
    stored = quadrants().transpose(Image.Transpose.ROTATE_90)
    assert shows_quadrants(open_image(encoded(stored, "JPEG", quality=95, exif=exif(6))[:-2]))


def test_a_jpeg_without_its_end_is_decoded_small_where_that_is_allowed() -> None:
    large = NOISE.resize((400, 300))
    file = encoded(large, "JPEG")
    assert open_image(file[:-2], at_least=70).size == (100, 75)
    assert open_image(file[:-2], at_least=70).tobytes() == open_image(file, at_least=70).tobytes()


def test_a_limit_of_pixels_counts_without_an_end_too() -> None:
    with pytest.raises(ImageError, match="limit is 100 ") as refused:
        open_image(encoded(NOISE, "JPEG")[:-2], max_pixels=100)
    assert refused.value.code == "too_large"


def test_the_first_picture_of_several_needs_no_end_of_the_last() -> None:
    file = encoded(quadrants(), "MPO", quality=95, save_all=True, append_images=[NOISE])
    assert shows_quadrants(open_image(file[:-2]))


@pytest.mark.parametrize("options", [{}, {"no_jp2": True}])
def test_jpeg_2000_without_its_end_is_the_same_picture_and_with_less_none(options: dict[str, bool]) -> None:
    file = encoded(DRAWN, "JPEG2000", **options)
    for missing in (1, 2):
        assert open_image(file[:-missing]).tobytes() == open_image(file).tobytes()
    for missing in (3, 10, 200):
        assert code(file[:-missing]) == "unreadable"


def test_a_jpeg_in_a_tiff_needs_no_end() -> None:
    file = bytearray(encoded(quadrants(), "TIFF", compression="jpeg", quality=95))
    with Image.open(io.BytesIO(file)) as opened:
        tags = opened.getexif()
        place, size = int(tags[273]), int(tags[279])
    assert file[place + size - 2 : place + size] == b"\xff\xd9"
    file[place + size - 2 : place + size] = b"\xff\xff"
    assert shows_quadrants(open_image(bytes(file)))


@pytest.mark.parametrize("missing", [1, 2])
def test_a_gif_needs_no_end(missing: int) -> None:
    assert shows_quadrants(open_image(encoded(quadrants(), "GIF")[:-missing]))
