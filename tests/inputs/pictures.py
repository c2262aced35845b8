"""Pictures that tests open: four colours that tell how they lie, and files no encoder at hand writes."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

RED, GREEN, BLUE, YELLOW = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)


def quadrants() -> Image.Image:
    """64 x 48: red and green above blue and yellow."""
    array = np.zeros((48, 64, 3), np.uint8)
    array[:24, :32], array[:24, 32:], array[24:, :32], array[24:, 32:] = RED, GREEN, BLUE, YELLOW
    return Image.fromarray(array)


def shows_quadrants(image: Image.Image) -> bool:
    """Whether a picture is the quadrants, the right way round, as far as lossy formats leave colours alone."""
    expected = np.asarray(quadrants(), np.int16)
    if image.mode != "RGB" or image.size != (64, 48):
        return False
    differences = np.abs(np.asarray(image, np.int16) - expected)
    differences[20:28], differences[:, 28:36] = 0, 0  # colours run into each other where they meet
    return int(differences.max()) <= 16


def encoded(image: Image.Image, picture_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, picture_format, **options)
    return file.getvalue()


def png(width: int, height: int, bits: int, colour: int, pixels: bytes) -> bytes:
    """A PNG of any bit depth and colour type (0 grey, 2 RGB, 6 RGBA); pixels is its rows, big-endian, unfiltered."""
    row = len(pixels) // height
    rows = b"".join(b"\0" + pixels[i * row : (i + 1) * row] for i in range(height)) if row else b""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def wide_profile() -> bytes:
    """The ICC profile of Display P3, a space of wider colours, but for its curve, which is a plain power of 2.2."""

    def tag(kind: bytes, numbers: list[float]) -> bytes:
        return kind + bytes(4) + b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)

    colorants = {b"r": [0.5151, 0.2412, -0.0011], b"g": [0.2919, 0.6922, 0.0419], b"b": [0.1572, 0.0666, 0.7841]}
    tags = {b"wtpt": tag(b"XYZ ", [0.9642, 1.0, 0.8249])}  # D50
    for name, numbers in colorants.items():
        tags[name + b"XYZ"] = tag(b"XYZ ", numbers)
        tags[name + b"TRC"] = b"curv" + bytes(4) + struct.pack(">IH", 1, round(2.2 * 256)) + bytes(2)
    table, content = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, 128 + 4 + 12 * len(tags) + len(content), len(data))
        content += data
    header = struct.pack(">I4sI4s4s4s", 128 + len(table) + len(content), b"none", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H4s", 2000, 1, 1, 0, 0, 0, b"acsp").ljust(44, b"\0")
    return (header + struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D)).ljust(128, b"\0") + table + content


def cmyk_profile() -> bytes:
    """An ICC profile in which cyan ink is Lab (50, 80, 67), a red, and every other ink is black."""
    identity = bytes(range(256))
    corners = bytearray()
    for corner in range(16):  # lut8: the first ink varies slowest; Lab as L * 2.55, a + 128, b + 128
        corners += {0: bytes([255, 128, 128]), 8: bytes([128, 208, 195])}.get(corner, bytes([0, 128, 128]))
    matrix = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    table = b"mft1" + bytes([0, 0, 0, 0, 4, 3, 2, 0]) + matrix + identity * 4 + corners + identity * 3
    offset = 128 + 4 + 12
    header = struct.pack(">I4sI4s4s4s", offset + len(table), b"none", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    header += struct.pack(">6H4s", 2000, 1, 1, 0, 0, 0, b"acsp").ljust(44, b"\0")
    header += struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D)  # D50
    return header.ljust(128, b"\0") + struct.pack(">I4sII", 1, b"A2B0", offset, len(table)) + table
