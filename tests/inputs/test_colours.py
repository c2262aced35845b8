"""Colours that are shown as their files mean them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from clipwright.inputs.colours import in_srgb
from clipwright.inputs.images import open_image, open_photo
from tests.inputs.pictures import cmyk_profile, encoded, wide_profile

CORAL = (200, 100, 100)


def shown(image: Image.Image) -> tuple[int, ...]:
    colour = in_srgb(image).getpixel((0, 0))
    assert isinstance(colour, tuple)
    return colour


def picture(mode: str = "RGB") -> Image.Image:
    return Image.new("RGB", (40, 30), CORAL).convert(mode, palette=Image.Palette.ADAPTIVE)


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "RGB"), ("PNG", "P"), ("PNG", "RGBA"), ("JPEG", "RGB"), ("WEBP", "RGB")]
)
def test_a_wide_colour_is_shown_as_strong_as_it_is_meant(kind: str, mode: str) -> None:
    # Display P3's (200, 100, 100) is sRGB's (213, 93, 96), by the matrices of both.
    file = encoded(picture(mode), kind, icc_profile=wide_profile())
    assert np.allclose(shown(open_image(file)), (213, 93, 96), atol=4)
    assert np.allclose(shown(open_photo(file).image), (213, 93, 96), atol=4)


def test_models_get_the_numbers_of_the_file() -> None:
    file = encoded(picture(), "PNG", icc_profile=wide_profile())
    assert open_image(file).getpixel((0, 0)) == CORAL


def test_what_is_shown_is_not_converted_again() -> None:
    once = in_srgb(open_image(encoded(picture(), "PNG", icc_profile=wide_profile())))
    assert shown(once) == once.getpixel((0, 0))


@pytest.mark.parametrize(
    "profile", [b"", b"no profile", wide_profile()[:150], wide_profile() + bytes(2**22), cmyk_profile()]
)
def test_a_profile_that_cannot_be_used_changes_nothing(profile: bytes) -> None:
    assert shown(open_image(encoded(picture(), "TIFF", icc_profile=profile))) == CORAL


def test_a_profile_of_other_colours_than_the_picture_has_is_left_out() -> None:
    grey = open_image(encoded(Image.new("L", (40, 30), 100), "PNG", icc_profile=wide_profile()))
    assert shown(grey) == (100, 100, 100)


def test_a_picture_that_is_given_keeps_what_it_says() -> None:
    given = Image.open(io.BytesIO(encoded(picture(), "PNG", icc_profile=wide_profile(), dpi=(72, 72))))
    before = dict(given.info)
    open_image(given)
    assert given.info == before
