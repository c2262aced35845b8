"""Raw files as cameras write them, small: DNG (TIFF 6.0 with the tags of Adobe's specification 1.4)."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

Tags = dict[int, tuple[int, bytes]]
"""Number of a tag to its TIFF type and its value as bytes."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 10: 8}


def short(*values: int) -> tuple[int, bytes]:
    return 3, struct.pack(f"<{len(values)}H", *values)


def long(*values: int) -> tuple[int, bytes]:
    return 4, struct.pack(f"<{len(values)}I", *values)


def ratios(*values: float) -> tuple[int, bytes]:
    return 10, b"".join(struct.pack("<ii", round(value * 10_000), 10_000) for value in values)


def text(value: str) -> tuple[int, bytes]:
    return 2, value.encode() + b"\0"


def tiff(directories: list[tuple[Tags, bytes]], exif: Tags | None = None) -> bytes:
    """A TIFF: the first directory holds the others as its sub-directories; each has its picture in one strip."""
    places: list[int] = []
    file = bytearray(b"II*\0\0\0\0\0")

    def add(tags: Tags) -> int:
        at = len(file)
        following = at + 2 + 12 * len(tags) + 4
        entries, values = b"", b""
        for tag, (kind, value) in sorted(tags.items()):
            entries += struct.pack("<HHI", tag, kind, len(value) // _SIZES[kind])
            if len(value) <= 4:
                entries += value.ljust(4, b"\0")
            else:
                entries += struct.pack("<I", following + len(values))
                values += value + b"\0" * (len(value) % 2)
        file.extend(struct.pack("<H", len(tags)) + entries + bytes(4) + values)
        return at

    for number, (tags, picture) in reversed(list(enumerate(directories))):
        strip = len(file)
        file.extend(picture + b"\0" * (len(picture) % 2))
        complete = {**tags, 273: long(strip), 279: long(len(picture))}
        if number == 0 and places:
            complete[330] = long(*places)
        if number == 0 and exif:
            complete[34665] = long(add(exif))
        places.insert(0, add(complete))
    file[4:8] = struct.pack("<I", places[0])
    return bytes(file)


def dng(
    picture: Image.Image, preview: Image.Image | None = None, orientation: int = 1, exif: Tags | None = None
) -> bytes:
    """A raw file whose sensor saw this picture through a Bayer pattern, with a preview as a JPEG beside it."""
    linear = (np.asarray(picture.convert("RGB"), np.float32) / 255) ** 2.2 * 65_535
    mosaic = np.empty(linear.shape[:2], np.uint16)
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        mosaic[row::2, column::2] = linear[row::2, column::2, channel]
    camera: Tags = {
        271: text("Clipwright"),
        272: text("Test 1"),
        274: short(orientation),
        50706: (1, bytes([1, 4, 0, 0])),
        50708: text("Clipwright Test 1"),
        50721: ratios(3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570),  # XYZ to sRGB
        50778: short(21),  # D65
        50728: (5, struct.pack("<6I", *[1] * 6)),  # a neutral grey is grey
    }
    sensor: Tags = {
        254: long(0),
        256: long(picture.width),
        257: long(picture.height),
        258: short(16),
        259: short(1),
        262: short(32803),
        277: short(1),
        278: long(picture.height),
        33421: short(2, 2),
        33422: (1, bytes([0, 1, 1, 2])),
        50714: short(0),
        50717: short(65_535),
    }
    if preview is None:
        return tiff([({**camera, **sensor}, mosaic.tobytes())], exif)
    file = io.BytesIO()
    preview.save(file, "JPEG", quality=92)
    small: Tags = {
        254: long(1),
        256: long(preview.width),
        257: long(preview.height),
        258: short(8, 8, 8),
        259: short(7),
        262: short(6),
        277: short(3),
        278: long(preview.height),
    }
    return tiff([({**camera, **small}, file.getvalue()), (sensor, mosaic.tobytes())], exif)
