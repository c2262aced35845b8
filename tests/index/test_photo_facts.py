"""What photographs say of themselves, and what they say that is not so."""

from __future__ import annotations

import datetime
import io
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from clipwright.index.photo import PhotoFacts
from clipwright.index.photo_facts import photo_facts
from clipwright.inputs.images import open_photo

MAKE, MODEL, ORIENTATION, CHANGED = 0x010F, 0x0110, 0x0112, 0x0132
TAKEN, DIGITIZED, SUBSEC_TAKEN, LENS = 0x9003, 0x9004, 0x9291, 0xA434
EXIF, GPS = 0x8769, 0x8825
BERLIN = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)}


def jpeg(exif: Image.Exif | bytes, size: tuple[int, int] = (64, 48)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "green").save(file, "JPEG", exif=exif)
    return file.getvalue()


def facts_of(
    first: dict[int, Any] | None = None, exif: dict[int, Any] | None = None, gps: dict[int, Any] | None = None
) -> PhotoFacts:
    tags = Image.Exif()
    tags.update(first or {})
    tags.get_ifd(EXIF).update(exif or {})
    tags.get_ifd(GPS).update(gps or {})
    return photo_facts(open_photo(jpeg(tags)))


def clock(*parts: int) -> float:
    return datetime.datetime(*parts, tzinfo=datetime.UTC).timestamp()  # type: ignore[misc,arg-type]


def test_a_photograph_says_when_with_what_and_where() -> None:
    facts = facts_of(
        {MAKE: "Canon", MODEL: "Canon EOS 5D Mark III"},
        {TAKEN: "2021:07:04 18:30:05", SUBSEC_TAKEN: "25", LENS: "EF24-70mm f/2.8L II USM"},
        BERLIN,
    )
    assert (facts.camera, facts.lens) == ("Canon EOS 5D Mark III", "EF24-70mm f/2.8L II USM")
    assert facts.taken == clock(2021, 7, 4, 18, 30, 5) + 0.25
    assert facts.latitude == pytest.approx(52.52)
    assert facts.longitude == pytest.approx(13.405)
    assert (facts.width, facts.height, facts.format, facts.orientation) == (64, 48, "JPEG", 1)


def test_a_picture_without_metadata_says_nothing() -> None:
    facts = facts_of()
    assert facts == PhotoFacts(64, 48, "JPEG", 1, None, None, None, None, None)


def test_the_size_is_that_of_the_upright_picture_however_small_it_was_decoded() -> None:
    tags = Image.Exif()
    tags[ORIENTATION] = 6
    photo = open_photo(jpeg(tags, (1600, 1200)), at_least=100)
    assert photo.image.size == (150, 200)
    facts = photo_facts(photo)
    assert (facts.width, facts.height, facts.orientation) == (1200, 1600, 6)


# When


@pytest.mark.parametrize(
    ("exif", "expected"),
    [
        ({TAKEN: "2020:01:02 03:04:05", DIGITIZED: "2021:01:01 00:00:00"}, clock(2020, 1, 2, 3, 4, 5)),
        ({TAKEN: "0000:00:00 00:00:00", DIGITIZED: "2021:01:01 00:00:00"}, clock(2021, 1, 1)),
        ({TAKEN: "    :  :     :  :  "}, clock(2022, 2, 2, 2, 2, 2)),
        ({TAKEN: "2020:02:31 00:00:00"}, clock(2022, 2, 2, 2, 2, 2)),
        ({TAKEN: "2020-01-02T03:04:05+02:00"}, clock(2020, 1, 2, 3, 4, 5)),
        ({TAKEN: "2020:01:02"}, clock(2020, 1, 2)),
        ({TAKEN: "2020:01:02 03:04:05\0\0rest"}, clock(2020, 1, 2, 3, 4, 5)),
        ({TAKEN: "0001:01:01 00:00:00"}, clock(2022, 2, 2, 2, 2, 2)),
        ({TAKEN: "1890:06:01 12:00:00"}, clock(1890, 6, 1, 12)),
        ({TAKEN: "2400:06:01 12:00:00"}, clock(2400, 6, 1, 12)),
        ({TAKEN: "9999:12:31 23:59:59", SUBSEC_TAKEN: "999999999"}, clock(2022, 2, 2, 2, 2, 2)),
        ({TAKEN: "2020:01:02 03:04:05", SUBSEC_TAKEN: "x"}, clock(2020, 1, 2, 3, 4, 5)),
        ({TAKEN: 17}, clock(2022, 2, 2, 2, 2, 2)),
    ],
)
def test_the_first_date_that_is_one_counts(exif: dict[int, Any], expected: float) -> None:
    assert facts_of({CHANGED: "2022:02:02 02:02:02"}, exif).taken == expected


# With what


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        ("NIKON CORPORATION", "NIKON D90", "NIKON D90"),
        ("OLYMPUS IMAGING CORP.  ", "E-M5          ", "OLYMPUS E-M5"),
        ("EASTMAN KODAK COMPANY", "KODAK EASYSHARE C813", "KODAK EASYSHARE C813"),
        ("SONY", "ILCE-7M3", "SONY ILCE-7M3"),
        ("Leica Camera AG", "LEICA Q2", "LEICA Q2"),
        ("LG Electronics", "LG-H870", "LG-H870"),
        ("KONICA MINOLTA CAMERA, Inc.", "DiMAGE Z5", "KONICA MINOLTA DiMAGE Z5"),
        ("Apple", "iPhone 12", "Apple iPhone 12"),
        ("Apple", None, "Apple"),
        (None, "DMC-FZ50", "DMC-FZ50"),
        ("\0\0", "  ", None),
        ("x" * 5000, None, "x" * 200),
        ("Can\non\t", "\x1b[31mred", "Can on [31mred"),
    ],
)
def test_make_and_model_become_one_tidy_name(make: str | None, model: str | None, camera: str | None) -> None:
    assert facts_of({tag: text for tag, text in ((MAKE, make), (MODEL, model)) if text}).camera == camera


@pytest.mark.parametrize("placeholder", ["----", "0.0 mm f/0.0", " ", "\0"])
def test_a_lens_that_the_camera_does_not_know_is_none(placeholder: str) -> None:
    assert facts_of(exif={LENS: placeholder}).lens is None


# Where


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({1: "S"}, (-52.52, 13.405)),
        ({3: "W"}, (52.52, -13.405)),
        ({2: (52.52,)}, (52.52, 13.405)),
        ({2: (52.0, 31.2)}, (52.52, 13.405)),
        ({1: None}, None),  # north or south?
        ({1: ""}, None),
        ({1: "X"}, None),
        ({2: None}, None),
        ({2: (91.0, 0.0, 0.0)}, None),
        ({4: (180.0, 0.0, 1.0)}, None),
        ({2: (IFDRational(52, 0), 31.0, 12.0)}, None),
        ({2: (IFDRational(0, 0), 0.0, 0.0)}, None),
        ({2: (0.0, 0.0, 0.0), 4: (0.0, 0.0, 0.0)}, None),  # what a receiver writes that knows nothing
        ({2: (0.0, 0.0, 0.0)}, (0.0, 13.405)),
    ],
)
def test_a_place_is_signed_degrees_or_nothing(changes: dict[int, Any], expected: tuple[float, float] | None) -> None:
    gps = {tag: value for tag, value in {**BERLIN, **changes}.items() if value is not None}
    facts = facts_of(gps=gps)
    assert (facts.latitude is None) == (facts.longitude is None)
    if expected is None:
        assert facts.latitude is None
    else:
        assert (facts.latitude, facts.longitude) == pytest.approx(expected)


# Hostile metadata


def directory(entries: list[tuple[int, int, int, bytes]], at: int) -> bytes:
    values = b"".join(value for *_, value in entries)
    offset, rows = at + 2 + 12 * len(entries) + 4, b""
    for tag, kind, count, value in entries:
        rows += struct.pack("<HHII", tag, kind, count, offset)
        offset += len(value)
    return struct.pack("<H", len(entries)) + rows + bytes(4) + values


@given(
    st.lists(
        st.tuples(
            st.sampled_from([MAKE, MODEL, CHANGED, EXIF, GPS, ORIENTATION]),
            st.integers(0, 14),
            st.integers(0, 2**32 - 1),
            st.binary(max_size=24),
        ),
        max_size=6,
    ),
    st.binary(max_size=64),
)
@settings(max_examples=150)
def test_whatever_the_metadata_the_picture_is_read(entries: list[tuple[int, int, int, bytes]], rest: bytes) -> None:
    block = b"Exif\0\0II*\0\x08\0\0\0" + directory(entries, 8) + rest
    facts = photo_facts(open_photo(jpeg(block)))
    assert {facts.width, facts.height} == {64, 48}
    for text in (facts.camera, facts.lens):
        assert text is None or text.encode()


@given(st.dictionaries(st.sampled_from([TAKEN, DIGITIZED, SUBSEC_TAKEN, LENS]), st.text(max_size=30), max_size=4))
@settings(max_examples=30)
def test_whatever_the_texts_they_can_be_kept(exif: dict[int, str]) -> None:
    facts = facts_of(exif={tag: text.encode("utf-8", "replace") for tag, text in exif.items()})
    assert facts.lens is None or facts.lens.isprintable()
