"""What lies beside the pixels of a PNG does not cost the picture, and is not unpacked where it is large."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib

import pytest
from PIL import Image, PngImagePlugin

from clipwright.errors import ImageError
from clipwright.inputs.images import open_image, open_photo
from tests.inputs.pictures import encoded, exif, quadrants, shows_quadrants, wide_profile

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LARGE = zlib.compress(bytes(5_000_000), 9)
TURNED = quadrants().transpose(Image.Transpose.ROTATE_90)  # upright again by orientation 6
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def chunk(kind: bytes, content: bytes, crc: int | None = None) -> bytes:
    crc = zlib.crc32(kind + content) if crc is None else crc
    return struct.pack(">I4s", len(content), kind) + content + struct.pack(">I", crc)


def with_chunks(*chunks: bytes, picture: Image.Image | None = None, at_end: bool = False, **options: object) -> bytes:
    """A PNG with more chunks behind its header, or before its end."""
    file = encoded(picture or quadrants(), "PNG", **options)
    place = len(file) - 12 if at_end else len(SIGNATURE) + 25
    return file[:place] + b"".join(chunks) + file[place:]


LARGE_CHUNKS = {
    "zTXt": chunk(b"zTXt", b"Comment\0\0" + LARGE),
    "iTXt": chunk(b"iTXt", b"Comment\0\1\0en\0Comment\0" + LARGE),
    "iCCP": chunk(b"iCCP", b"profile\0\0" + LARGE),
}
UNSOUND_CHUNKS = {
    "wrong checksum of a text": chunk(b"tEXt", b"a\0b", 1),
    "wrong checksum of a gamma": chunk(b"gAMA", struct.pack(">I", 45455), 1),
    "wrong checksum of a profile": chunk(b"iCCP", b"profile\0\0" + zlib.compress(wide_profile()), 1),
    "wrong checksum of EXIF": chunk(b"eXIf", exif(6)[6:], 1),
    "wrong checksum of a private chunk": chunk(b"prVt", b"whatever", 1),
    "profile packed in an unknown way": chunk(b"iCCP", b"profile\0\7abc"),
    "profile without a name's end": chunk(b"iCCP", b"profile"),
    "text packed in an unknown way": chunk(b"zTXt", b"Comment\0\7abc"),
    "short gamma": chunk(b"gAMA", b"\0"),
    "short size": chunk(b"pHYs", b"\0\0"),
    "animation out of order": chunk(b"acTL", struct.pack(">II", 2, 0))
    + chunk(b"fcTL", struct.pack(">I", 9) + bytes(22)),
}


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("what", LARGE_CHUNKS)
def test_what_is_large_unpacked_is_dropped_and_not_unpacked(what: str, at_end: bool) -> None:
    file = with_chunks(LARGE_CHUNKS[what], at_end=at_end)
    tracemalloc.start()
    try:
        assert shows_quadrants(open_image(file))
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_texts_that_are_large_together_are_dropped() -> None:
    texts = chunk(b"tEXt", b"a\0" + b"b" * 1_000_000) * 70
    assert shows_quadrants(open_image(with_chunks(texts)))


@pytest.mark.parametrize("what", UNSOUND_CHUNKS)
def test_an_unsound_chunk_beside_the_picture_does_not_cost_it(what: str) -> None:
    assert shows_quadrants(open_image(with_chunks(UNSOUND_CHUNKS[what])))


@pytest.mark.parametrize("kind", [b"IHDR", b"PLTE"])
def test_a_wrong_checksum_of_what_makes_the_picture_is_refused(kind: bytes) -> None:
    file = bytearray(encoded(quadrants().quantize(8), "PNG"))
    place = file.index(kind)
    (length,) = struct.unpack_from(">I", file, place - 4)
    file[place + 4 + length] ^= 1
    with pytest.raises(ImageError):
        open_image(bytes(file))


def test_damaged_pixels_are_refused_also_beside_a_large_text() -> None:
    file = bytearray(with_chunks(LARGE_CHUNKS["zTXt"]))
    place = file.index(b"IDAT")
    file[place + 10 : place + 30] = bytes(20)
    with pytest.raises(ImageError):
        open_image(bytes(file))


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize(
    "orientation",
    [
        chunk(b"eXIf", exif(6)[6:]),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP)),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n      32\n" + exif(6).hex().encode())),
    ],
    ids=["EXIF", "XMP", "packed XMP", "ImageMagick's"],
)
def test_a_picture_beside_a_large_text_is_upright(orientation: bytes, at_end: bool) -> None:
    large = [LARGE_CHUNKS["zTXt"], UNSOUND_CHUNKS["wrong checksum of a text"]]
    assert shows_quadrants(open_image(with_chunks(*large, orientation, picture=TURNED, at_end=at_end)))


def test_a_picture_beside_many_texts_and_a_large_one_is_upright() -> None:
    texts = [chunk(b"tEXt", b"Comment\0%d" % number) for number in range(100)]
    upright = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)
    assert shows_quadrants(open_image(with_chunks(*texts, LARGE_CHUNKS["zTXt"], *texts, upright, picture=TURNED)))


def test_a_picture_beside_a_large_text_keeps_its_profile_and_what_is_transparent() -> None:
    file = with_chunks(LARGE_CHUNKS["zTXt"], icc_profile=wide_profile(), transparency=(255, 0, 0))
    photo = open_photo(file)
    assert photo.profile == wide_profile()
    assert photo.image.getpixel((0, 0)) == (255, 255, 255)
    palette = open_image(with_chunks(LARGE_CHUNKS["iTXt"], picture=quadrants().quantize(8)))
    assert shows_quadrants(palette)


def test_the_first_frame_of_an_animation_beside_a_large_text_is_taken() -> None:
    file = with_chunks(LARGE_CHUNKS["zTXt"], save_all=True, append_images=[Image.new("RGB", (64, 48))])
    assert shows_quadrants(open_image(file))


def test_a_file_of_nothing_but_large_texts_ends_soon() -> None:
    file = with_chunks(*[LARGE_CHUNKS["zTXt"]] * 2000)
    start = time.monotonic()
    assert shows_quadrants(open_image(file))
    assert time.monotonic() - start < 5


def test_a_header_that_claims_too_much_is_refused_also_beside_a_large_text() -> None:
    file = bytearray(with_chunks(LARGE_CHUNKS["zTXt"]))
    header = b"IHDR" + struct.pack(">II", 60_000, 60_000) + bytes(file[24:29])
    file[12:33] = header + struct.pack(">I", zlib.crc32(header))
    with pytest.raises(ImageError) as refused:
        open_image(bytes(file))
    assert refused.value.code == "too_large"


def test_texts_of_an_ordinary_size_are_read_as_before() -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", "a" * 500_000, zip=True)
    assert shows_quadrants(open_image(encoded(quadrants(), "PNG", pnginfo=notes)))


def test_bytes_behind_the_last_chunk_do_not_matter() -> None:
    assert shows_quadrants(open_image(with_chunks(LARGE_CHUNKS["zTXt"]) + b"trailing"))


@pytest.mark.parametrize("missing", [1, 4, 8, 12, 14, 16])
def test_a_png_that_lacks_its_last_chunk_is_the_picture(missing: int) -> None:
    assert shows_quadrants(open_image(encoded(quadrants(), "PNG")[:-missing]))


def test_a_pillow_picture_with_a_large_text_is_left_to_who_opened_it() -> None:
    with pytest.raises(ValueError, match="too large"):
        Image.open(io.BytesIO(with_chunks(LARGE_CHUNKS["zTXt"])))
