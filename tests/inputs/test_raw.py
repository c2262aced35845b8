"""Raw files: DNGs made here, since no camera is at hand; what their sensors saw is known."""

from __future__ import annotations

import contextlib
import random

import numpy as np
import pytest
from PIL import Image

from clipwright.errors import ImageError
from clipwright.inputs import raw
from clipwright.inputs.images import open_image, open_photo
from tests.inputs.pictures import encoded, exif, quadrants, shows_quadrants
from tests.inputs.raw_files import dng, text
from tests.inputs.tiff_files import tiff

SEEN = quadrants().resize((960, 720), Image.Resampling.NEAREST)
GREEN = Image.new("RGB", (800, 600), (10, 200, 90))
"""A preview that cannot be mistaken for what the sensor saw."""
STORED = {
    1: SEEN,
    3: SEEN.transpose(Image.Transpose.ROTATE_180),
    6: SEEN.rotate(90, expand=True),
    8: SEEN.rotate(270, expand=True),
}
"""By orientation: how a sensor that was held so sees the quadrants."""


def shows(image: Image.Image) -> bool:
    return shows_quadrants(image.resize((64, 48), Image.Resampling.BOX))


def test_without_a_preview_a_raw_file_is_developed_at_half_size() -> None:
    image = open_image(dng(SEEN))
    assert image.size == (480, 360)
    assert shows(image)


def test_the_preview_is_taken_where_there_is_one() -> None:
    image = open_image(dng(SEEN, GREEN))
    assert image.size == (800, 600)
    assert np.abs(np.asarray(image, int) - (10, 200, 90)).max() < 5


def test_an_icon_is_no_preview() -> None:
    assert shows(open_image(dng(SEEN, GREEN.resize((160, 120)))))


def test_a_broken_preview_is_passed_over() -> None:
    data = dng(SEEN, GREEN)
    assert data.count(b"\xff\xd8\xff\xe0") == 1
    start = data.index(b"\xff\xd8\xff\xe0")
    assert shows(open_image(data[: start + 20] + bytes(3000) + data[start + 3020 :]))


def test_a_preview_is_decoded_small_where_that_is_allowed() -> None:
    assert open_image(dng(SEEN, SEEN.resize((1600, 1200))), at_least=200).size == (400, 300)


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("orientation", STORED)
def test_raw_pictures_are_upright(orientation: int, preview: bool) -> None:
    stored = STORED[orientation]
    photo = open_photo(dng(stored, stored if preview else None, orientation))
    assert shows(photo.image)
    assert (photo.width, photo.height, photo.orientation) == (960, 720, orientation)


def test_a_preview_that_the_camera_turned_itself_is_not_turned_again() -> None:
    assert shows(open_image(dng(STORED[6].transpose(Image.Transpose.ROTATE_270), SEEN.rotate(0), 1)))
    upright = Image.new("RGB", (600, 800), (10, 200, 90))
    upright.paste("red", (0, 0, 600, 400))
    image = open_image(dng(SEEN, upright, orientation=6))
    assert image.size == (600, 800)
    assert image.getpixel((300, 100)) == pytest.approx((254, 0, 0), abs=4)


def test_a_raw_file_says_what_its_exif_says() -> None:
    photo = open_photo(dng(SEEN, exif={0x9003: text("2020:01:02 03:04:05")}))
    assert photo.format == "RAW"
    assert photo.exif[0x0110] == "Test 1"
    assert photo.exif.get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"


def test_pictures_that_are_not_raw_are_not_taken_for_it() -> None:
    for picture_format in ("TIFF", "JPEG", "PNG", "WEBP"):
        assert not raw.is_raw(encoded(quadrants(), picture_format))
    assert not raw.is_raw(encoded(quadrants(), "TIFF", exif=exif(6)))
    assert not raw.is_raw(b"")


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("tags", [{50706: [1]}, {262: [32803]}])
def test_a_tiff_of_what_a_sensor_saw_is_a_raw_file(tags: dict[int, list[int]], big: bool) -> None:
    assert raw.is_raw(tiff(np.zeros((4, 4), np.uint16), 1, big=big, tags=tags))


@pytest.mark.parametrize(
    "start",
    [
        b"FUJIFILMCCD-RAW 0201",
        b"IIRO\x08\0\0\0",
        b"IIU\0\x08\0\0\0",
        b"\0\0\0\x18ftypcrx \0\0\0\1",
        b"II*\0\x10\0\0\0CR\2\0",
    ],
)
def test_other_cameras_files_are_known_by_how_they_begin(start: bytes) -> None:
    data = start + bytes(2000)
    assert raw.is_raw(data)
    with pytest.raises(ImageError) as raised:
        open_image(data)
    assert raised.value.code in ("unsupported_format", "truncated", "unreadable")


def test_without_the_extra_a_raw_file_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """And its icon is not taken for the picture, as a reader of TIFF would."""
    monkeypatch.setattr(raw, "is_available", lambda: False)
    with pytest.raises(ImageError, match=r"pip install 'clipwright\[raw\]'") as raised:
        open_image(dng(SEEN, GREEN))
    assert raised.value.code == "unsupported_format"


@pytest.mark.parametrize("preview", [None, GREEN])
def test_a_cut_raw_file_is_an_image_error_or_its_preview(preview: Image.Image | None) -> None:
    data = dng(SEEN, preview)
    for length in range(0, len(data) - 1, len(data) // 17):
        with contextlib.suppress(ImageError):  # and nothing else
            assert open_image(data[:length]).size in ((800, 600), (480, 360))


def test_a_raw_file_that_claims_too_much_is_refused() -> None:
    data = dng(SEEN).replace((960).to_bytes(4, "little"), (60_000).to_bytes(4, "little"))
    with pytest.raises(ImageError) as raised:
        open_image(data)
    assert raised.value.code in ("too_large", "truncated", "unreadable", "unsupported_format")


@pytest.mark.slow
def test_hostile_raw_files_give_image_errors() -> None:
    original = dng(SEEN.resize((96, 72)), GREEN.resize((640, 480)))
    for seed in range(400):
        chance = random.Random(seed)
        data = bytearray(original)
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(4, len(data)) if chance.random() < 0.2 else len(data) - chance.randrange(1, 900)
            data[at] = chance.choice([0, 1, 127, 128, 255, chance.randrange(256)])
        with contextlib.suppress(ImageError):  # and nothing else
            assert open_image(bytes(data)).mode == "RGB"
