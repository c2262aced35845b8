from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from clipwright.inputs.encoded_pictures import is_base64_picture, is_data_uri, is_encoded, may_be_base64
from tests.support import REFERENCE

PICTURES = [REFERENCE / "pictures" / name for name in ("rocket.jpg", "chelsea.png")]


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((9, 9), 50).convert("RGB").save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "AVIF", "JPEG2000"])
def test_base64_of_a_picture_is_known_by_its_beginning(kind: str) -> None:
    picture = encoded(kind)
    for letters in (base64.b64encode(picture), base64.urlsafe_b64encode(picture), base64.encodebytes(picture)):
        assert is_base64_picture(letters.decode())


@pytest.mark.parametrize("kind", ["BMP", "PPM"])
def test_base64_without_a_beginning_of_its_own_is_no_word_at_least(kind: str) -> None:
    assert may_be_base64(base64.b64encode(encoded(kind)).decode())


def test_only_the_first_letters_are_looked_at() -> None:
    assert is_data_uri("data:image/png;base64," + "A" * 10_000_000 + " ")
    assert is_encoded(base64.b64encode(PICTURES[0].read_bytes()).decode() + " and words")


@pytest.mark.parametrize("text", ["", "a cat", "data: image", "/9j/", "UklGRiIEAABX RUJQ", "a" * 300, "A1" * 300])
def test_words_are_no_picture(text: str) -> None:
    assert not is_encoded(text)
