from __future__ import annotations

import struct

import pytest

from clipwright.errors import ImageError
from clipwright.inputs.heif import check
from clipwright.inputs.images import open_image
from tests.inputs.pictures import shows_quadrants
from tests.support import DATA

TURNED = (DATA / "heic" / "quadrants-turned.heic").read_bytes()


def box(kind: bytes, content: bytes, long: bool = False) -> bytes:
    head = struct.pack(">I4sQ", 1, kind, 16 + len(content)) if long else struct.pack(">I4s", 8 + len(content), kind)
    return head + content


def item(kind: bytes, texts: bytes = b"\0", version: int = 2, long: bool = False) -> bytes:
    number = bytes(4) if version == 3 else bytes(2)
    return box(b"infe", bytes([version, 0, 0, 0]) + number + bytes(2) + kind + texts, long)


def heif(*items: bytes, wide_count: bool = False, long: bool = False) -> bytes:
    count = b"\1\0\0\0" + struct.pack(">I", len(items)) if wide_count else bytes(4) + struct.pack(">H", len(items))
    iinf = box(b"iinf", count + b"".join(items), long)
    return box(b"ftyp", b"heic\0\0\0\0mif1heic") + box(b"meta", bytes(4) + box(b"hdlr", bytes(25)) + iinf, long)


def test_a_photo_of_a_telephone_is_sound_and_opened() -> None:
    check(TURNED)
    assert shows_quadrants(open_image(TURNED))


@pytest.mark.parametrize("place", range(4))
def test_one_wrong_byte_in_the_type_of_an_item_is_refused_and_does_not_end_the_process(place: int) -> None:
    start = TURNED.index(b"Exif") + place
    damaged = TURNED[:start] + b"\xff" + TURNED[start + 1 :]
    with pytest.raises(ImageError, match="list of items") as refused:
        open_image(damaged)
    assert refused.value.code == "unreadable"


@pytest.mark.parametrize("wide_count", [False, True])
@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("version", [2, 3])
def test_items_are_found_however_their_boxes_are_written(version: int, long: bool, wide_count: bool) -> None:
    check(heif(item(b"hvc1"), item(b"Exif", version=version, long=long), wide_count=wide_count, long=long))
    broken = heif(item(b"hvc1"), item(b"Ex\xfff", version=version, long=long), wide_count=wide_count, long=long)
    with pytest.raises(ImageError, match="list of items"):
        check(broken)


def test_a_content_type_that_is_no_text_is_refused() -> None:
    check(heif(item(b"mime", b"\0application/rdf+xml\0")))
    with pytest.raises(ImageError, match="list of items"):
        check(heif(item(b"mime", b"\0application/\xff\0")))


def test_a_type_that_only_becomes_text_with_the_name_after_it_is_refused() -> None:
    with pytest.raises(ImageError, match="list of items"):
        check(heif(item(b"abc\xc3", b"\xa9\0")))


def test_a_name_may_be_in_any_language() -> None:
    check(heif(item(b"hvc1", "照片\0".encode())))


def test_the_last_box_may_reach_to_the_end_of_the_file() -> None:
    file = heif(item(b"\xff\xff\xff\xff"))
    meta = file.index(b"meta") - 4
    with pytest.raises(ImageError, match="list of items"):
        check(file[:meta] + bytes(4) + file[meta + 4 :])


@pytest.mark.parametrize("length", range(len(heif(item(b"Exif")))))
def test_a_file_that_ends_anywhere_is_walked_without_an_accident(length: int) -> None:
    check(heif(item(b"Exif"))[:length])


@pytest.mark.parametrize("size", [0, 1, 2, 7, 2**32 - 1])
def test_a_box_of_an_impossible_size_is_walked_without_an_accident(size: int) -> None:
    check(box(b"ftyp", b"heic\0\0\0\0") + struct.pack(">I4s", size, b"free") + bytes(40))


def test_bytes_that_look_like_an_item_elsewhere_do_no_harm() -> None:
    check(heif(item(b"hvc1")) + box(b"mdat", item(b"\xff\xff\xff\xff")))


def test_other_formats_are_passed_over() -> None:
    check(b"")
    check(b"\xff\xd8\xff")
