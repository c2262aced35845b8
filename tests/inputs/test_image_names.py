"""The endings by which pictures are found are those of what can be opened."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from clipwright.errors import ImageError
from clipwright.inputs import raw
from clipwright.inputs.image_names import image_suffixes, passed_over, photo_suffixes, unread_suffixes
from clipwright.inputs.images import open_image
from tests.inputs.pictures import encoded, quadrants, shows_quadrants

NAMED = (
    ".jpg .jpeg .jpe .jfif .mpo .png .webp .avif .heic .heif .tif .tiff .gif .bmp .jp2 .j2k .jpx "  # those of old
    ".hif .heics .heifs .avifs .apng .dib .jpf .j2c .jpc .insp .ppm .pgm .pbm .pnm .pfm"
)


@pytest.mark.parametrize("suffix", NAMED.split())
def test_what_can_be_opened_is_found(suffix: str) -> None:
    assert suffix in image_suffixes()


@pytest.mark.parametrize("suffix", sorted(image_suffixes()))
def test_the_content_decides_whatever_the_ending_says(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture{suffix}"
    path.write_bytes(encoded(quadrants(), "PNG"))
    assert shows_quadrants(open_image(path))


def test_what_pillow_writes_under_an_ending_is_opened_where_the_ending_is_read(tmp_path: Path) -> None:
    """And refused where it is not: else a picture that can be opened would be passed over."""
    written = 0
    for suffix in sorted(Image.registered_extensions().keys() - {".im"}):
        path = tmp_path / f"picture{suffix}"
        try:
            quadrants().save(path)
        except (OSError, KeyError, ValueError):  # it only reads that, or not in colour
            continue
        written += 1
        if suffix in image_suffixes():
            open_image(path)
        else:
            with pytest.raises(ImageError, match="not a picture in any format"):
                open_image(path)
    assert written > 20


def test_what_looks_like_a_picture_and_is_not_read_is_known() -> None:
    assert {".psd", ".svg", ".xcf", ".jxl", ".eps"} <= unread_suffixes()
    assert not unread_suffixes() & photo_suffixes()


def test_raw_files_are_read_with_the_extra_and_passed_over_without(monkeypatch: pytest.MonkeyPatch) -> None:
    for available in (True, False):
        monkeypatch.setattr(raw, "is_available", lambda available=available: available)
        assert (".nef" in photo_suffixes(), ".nef" in unread_suffixes()) == (available, not available)


def test_what_is_passed_over_is_said_with_the_reason() -> None:
    assert passed_over({".svg": 3, ".psd": 1200, ".jxl": 3}) == "1,200 .psd, 3 .jxl, 3 .svg (not read by clipwright)"
    assert passed_over({".nef": 2}) == "2 .nef (cameras' raw files: pip install 'clipwright[raw]' to read them)"
    assert passed_over({".nef": 2, ".svg": 1}).startswith("1 .svg (not read by clipwright); 2 .nef (")
