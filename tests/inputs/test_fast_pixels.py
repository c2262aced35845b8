"""Fast pixels: a large JPEG is decoded smaller and still shows nearly what exact pixels show."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from clipwright.inputs.images import open_image
from tests.support import REFERENCE


def photograph(kind: str, size: tuple[int, int] = (1600, 1200)) -> bytes:
    out = io.BytesIO()
    with Image.open(REFERENCE / "pictures" / "chelsea.png") as image:
        image.convert("RGB").resize(size).save(out, kind, quality=95)
    return out.getvalue()


def test_a_jpeg_is_decoded_at_the_next_power_of_two_that_is_not_too_small() -> None:
    assert open_image(photograph("JPEG"), at_least=224).size == (400, 300)
    assert open_image(photograph("JPEG"), at_least=301).size == (800, 600)
    assert open_image(photograph("JPEG"), at_least=1100).size == (1600, 1200)


def test_a_small_jpeg_and_other_formats_are_decoded_whole() -> None:
    assert open_image(photograph("JPEG", (300, 200)), at_least=224).size == (300, 200)
    assert open_image(photograph("PNG"), at_least=224).size == (1600, 1200)
    assert open_image(Image.new("RGB", (1600, 1200)), at_least=224).size == (1600, 1200)


@pytest.mark.parametrize("size", [(1600, 1200), (1200, 1600)])
def test_it_shows_nearly_the_same(size: tuple[int, int]) -> None:
    exact, fast = (
        np.asarray(open_image(photograph("JPEG", size), at_least).resize((224, 224)), np.float32)
        for at_least in (None, 224)
    )
    assert np.abs(exact - fast).mean() < 3
