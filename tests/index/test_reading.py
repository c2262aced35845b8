"""A file is read once and decoded once, and all that is kept of it comes of that."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipwright.errors import Failure
from clipwright.index.perceptual_hash import perceptual_hash
from clipwright.index.reading import ReadPhoto, read_photo
from clipwright.index.scan import FoundFile, scan
from clipwright.inputs import raw
from clipwright.inputs.images import open_image
from clipwright.inputs.input_spec import InputSpec
from clipwright.inputs.memory import PICTURES
from clipwright.inputs.preprocess import prepare_image
from tests.inputs.pictures import encoded, exif, wide_profile
from tests.inputs.raw_files import dng
from tests.support import REFERENCE

SPEC = InputSpec(image_size=96, context_length=16, start_id=1, end_id=2, pad_id=0)
FILES = sorted((REFERENCE / "pictures").iterdir())


def photograph(width: int, height: int) -> Image.Image:
    """Smooth shapes, as photographs have them."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    channels = [np.sin(x / width * (3 + c)) * np.cos(y / height * (4 - c)) * 120 + 128 for c in range(3)]
    return Image.fromarray(np.stack(channels, axis=2).astype(np.uint8))


def file_at(path: Path) -> FoundFile:
    about = path.stat()
    return FoundFile(os.fsencode(path), about.st_size, about.st_mtime_ns)


def read(path: Path, pixels: str = "exact", *, thumbnails: bool = True) -> ReadPhoto:
    result = read_photo(
        file_at(path),
        SPEC,
        pixels=pixels,  # type: ignore[arg-type]
        thumbnails=thumbnails,
        is_known=lambda _: False,
    )
    assert isinstance(result, ReadPhoto), result
    return result


def failure_of(path: Path) -> Failure:
    found = FoundFile(os.fsencode(path), 0, 0)
    result = read_photo(found, SPEC, pixels="exact", thumbnails=True, is_known=lambda _: False)
    assert isinstance(result, Failure)
    assert result.source == path
    return result


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_exact_squares_are_the_embedders_own(path: Path) -> None:
    square = read(path).square
    assert square is not None
    assert np.array_equal(square, prepare_image(open_image(path), SPEC))


def test_fast_squares_are_near_exact_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    photograph(1600, 1200).save(path, quality=90)
    fast, exact = read(path, "fast").square, read(path).square
    assert fast is not None
    assert exact is not None
    assert np.abs(fast.astype(int) - exact).mean() < 2


def test_the_hash_is_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    photograph(40, 30).save(path)
    assert read(path).content_hash == hashlib.blake2b(path.read_bytes(), digest_size=16).digest()


def test_content_that_is_known_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"no picture, which opening it would tell")
    asked = []

    def is_known(content_hash: bytes) -> bool:
        asked.append(content_hash)
        return True

    result = read_photo(file_at(path), SPEC, pixels="exact", thumbnails=True, is_known=is_known)
    assert result == ReadPhoto(asked[0], None, None, None, None)


def test_facts_are_of_the_stored_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    photograph(1600, 1200).save(path, exif=exif(8))
    facts = read(path, "fast").facts
    assert facts is not None
    assert (facts.width, facts.height, facts.format, facts.orientation) == (1200, 1600, "JPEG", 8)


def test_a_raw_file_is_read_with_its_facts(tmp_path: Path) -> None:
    path = tmp_path / "a.dng"
    path.write_bytes(dng(photograph(960, 720), photograph(800, 600), orientation=6))
    photo = read(path, "fast")
    assert photo.facts is not None
    assert (photo.facts.width, photo.facts.height, photo.facts.format) == (720, 960, "RAW")
    assert photo.facts.camera == "Clipwright Test 1"
    assert photo.thumbnail is not None
    assert Image.open(io.BytesIO(photo.thumbnail)).size == (240, 320)


# Thumbnails


@pytest.mark.parametrize("pixels", ["exact", "fast"])
def test_a_thumbnail_is_a_small_upright_jpeg_without_metadata(tmp_path: Path, pixels: str) -> None:
    path = tmp_path / "a.jpg"
    icc = b"profile" * 50
    photograph(1600, 1200).save(path, exif=exif(6), icc_profile=icc, comment=b"at home", quality=90)
    thumbnail = read(path, pixels).thumbnail
    assert thumbnail is not None
    assert len(thumbnail) < 20_000
    image = Image.open(io.BytesIO(thumbnail))
    assert (image.format, image.size) == ("JPEG", (240, 320))
    assert not {"exif", "icc_profile", "comment", "xmp"} & image.info.keys()
    upright = open_image(path).resize((240, 320))
    assert np.abs(np.asarray(image, int) - np.asarray(upright, int)).mean() < 4


def test_a_thumbnail_shows_the_colours_that_the_file_means(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("RGB", (1600, 1200), (200, 100, 100)).save(path, icc_profile=wide_profile(), quality=95)
    thumbnail = read(path, "fast").thumbnail
    assert thumbnail is not None
    assert np.allclose(np.asarray(Image.open(io.BytesIO(thumbnail)))[9, 9], (213, 93, 96), atol=5)


def test_a_thumbnail_is_no_larger_than_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    photograph(200, 20).save(path)
    thumbnail = read(path).thumbnail
    assert thumbnail is not None
    assert Image.open(io.BytesIO(thumbnail)).size == (200, 20)


def test_a_thumbnail_of_an_extreme_shape_has_a_pixel_at_least(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    photograph(3000, 2).save(path)
    thumbnail = read(path).thumbnail
    assert thumbnail is not None
    assert Image.open(io.BytesIO(thumbnail)).size == (320, 1)


def test_fast_pixels_leave_enough_for_a_thumbnail_whatever_the_model_reads(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    photograph(1600, 1200).save(path)
    thumbnail = read(path, "fast").thumbnail
    assert thumbnail is not None
    assert Image.open(io.BytesIO(thumbnail)).size == (320, 240)


def test_thumbnails_change_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    photograph(1600, 1200).save(path)
    with_one, without = read(path, "fast"), read(path, "fast", thumbnails=False)
    assert without.thumbnail is None
    assert np.array_equal(with_one.square, without.square)  # type: ignore[arg-type]
    assert with_one.perceptual_hash == without.perceptual_hash


@pytest.mark.parametrize("pixels", ["exact", "fast"])
def test_the_perceptual_hash_hardly_depends_on_how_it_was_decoded(tmp_path: Path, pixels: str) -> None:
    path = tmp_path / "a.jpg"
    photograph(1600, 1200).save(path)
    found = read(path, pixels).perceptual_hash
    assert found is not None
    assert (found ^ perceptual_hash(photograph(1600, 1200))).bit_count() <= 6  # others differ in 32


# What cannot be read


def test_bad_pictures_are_failures(bad_photos: dict[str, Path]) -> None:
    for code in ("truncated", "not_an_image", "empty", "too_large", "missing"):
        assert failure_of(bad_photos[code]).code == code


def test_a_pipe_does_not_wait_for_its_other_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    assert failure_of(tmp_path / "a.jpg") == Failure(tmp_path / "a.jpg", "unreadable", "not an ordinary file")


def test_a_name_that_is_not_utf8_is_read(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    photograph(40, 30).save(path)
    (file,) = scan(os.fsencode(tmp_path))
    assert isinstance(file, FoundFile)
    result = read_photo(file, SPEC, pixels="exact", thumbnails=False, is_known=lambda _: False)
    assert isinstance(result, ReadPhoto)


@pytest.mark.parametrize("change", ["grows", "is written again"])
def test_a_file_that_changes_while_it_is_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    path = tmp_path / "a.png"
    photograph(40, 30).save(path)
    claim = PICTURES.claim

    def and_meanwhile(count: int) -> None:  # between the look at the file and reading it
        claim(count)
        if change == "grows":
            with path.open("ab") as file:
                file.write(b"more")
        else:
            path.write_bytes(path.read_bytes())
            os.utime(path, ns=(0, 1_000_000))

    monkeypatch.setattr(PICTURES, "claim", and_meanwhile)
    assert failure_of(path).code == "changed_while_reading"


def test_without_the_extra_a_raw_file_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw, "is_available", lambda: False)
    (tmp_path / "a.dng").write_bytes(dng(photograph(96, 64)))
    failure = failure_of(tmp_path / "a.dng")
    assert failure.code == "unsupported_format"
    assert "clipwright[raw]" in failure.message


def test_a_cut_photograph_is_truncated_with_fast_pixels_too(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(photograph(1600, 1200), "JPEG")[:20_000])
    result = read_photo(file_at(path), SPEC, pixels="fast", thumbnails=True, is_known=lambda _: False)
    assert isinstance(result, Failure)
    assert result.code == "truncated"
