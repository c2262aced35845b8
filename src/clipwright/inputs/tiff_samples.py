"""The numbers of a TIFF's first picture, as they are stored.

Pillow (libtiff) unpacks what is compressed: it is handed the packed bytes as a grey picture of 8 bits. What these mean
is decided here. TIFF 6.0; predictor 3 after Adobe Photoshop's TIFF Technical Note 3.
"""

from __future__ import annotations

import io
import itertools
import struct

import numpy as np
from PIL import TiffImagePlugin

from clipwright.errors import ImageError
from clipwright.inputs.memory import PICTURES
from clipwright.inputs.remarks import without_warnings
from clipwright.inputs.tiff_layout import UNPACKED, Layout
from clipwright.inputs.tiff_tags import Directory

_MOST_BYTES, _MOST_IN_ONE, _MOST_PARTS = 2**30, 178_956_970, 2**20
"""Of what is unpacked, in all and in one strip or tile (where Pillow stops); and strips or tiles of any picture."""
_AT_ONCE = 2**26
_MOST_IN_A_ROW = 2**22
"""Numbers in a row of a strip or tile where they are no whole bytes: each takes far more memory than in the file."""
_SPARE = 2**22
"""Numbers of tiles that may lie outside a picture, however small it is, beside three times as many as lie in it."""
_WHOLE_BYTES = (8, 16, 32, 64)
_REVERSED = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)[:, ::-1], axis=1)[:, 0]


def read_channels(directory: Directory, layout: Layout) -> list[np.ndarray]:
    """The colours and then alpha, where there is one: each (H, W), of the kind of numbers that is stored.

    Only within a scope of inputs/memory.py. Raises ImageError.
    """
    wanted = [*range(layout.colours), *([] if layout.alpha is None else [layout.alpha])]
    planes = wanted if layout.apart else [0]
    count, in_one = layout.across * layout.down, layout.part_height * layout.row_bytes
    size = len(planes) * count * in_one
    at_most = 2 * len(directory.data)  # where the last strip is short, less is there
    if layout.compression == UNPACKED and size > at_most:
        raise ImageError("truncated", "the file ends before the picture does")
    in_a_row = layout.part_width * layout.together
    numbers = len(planes) * count * layout.part_height * in_a_row
    limits = {
        "strips or tiles": (len(planes) * count, _MOST_PARTS),
        "numbers": (numbers, 4 * layout.width * layout.height * layout.channels + _SPARE),
    }
    if layout.bits not in _WHOLE_BYTES:
        limits |= {"numbers in a row": (in_a_row, _MOST_IN_A_ROW)}
    if layout.compression != UNPACKED:
        limits |= {"bytes": (size, _MOST_BYTES), "bytes in one strip or tile": (in_one, _MOST_IN_ONE)}
    for what, (claimed, most) in limits.items():
        if claimed > most:
            raise ImageError("too_large", f"claims {claimed:,} {what}; the limit is {most:,}")
    PICTURES.claim(2 * max(size, numbers) + 4 * _AT_ONCE)
    places, sizes = directory.numbers(324 if layout.tiled else 273), directory.numbers(325 if layout.tiled else 279)
    if places.size < (planes[-1] + 1) * count:
        raise ImageError("unreadable", f"broken picture: {places.size} of its {count} strips or tiles are there")
    channels = []
    for plane in planes:
        own = slice(plane * count, (plane + 1) * count)
        stored = _stored(directory.data, layout, places[own].tolist(), sizes[own].tolist())
        pixels = _in_place(_numbers(stored, layout, directory.order), layout)
        channels += [pixels[..., 0]] if layout.apart else [pixels[..., channel] for channel in wanted]
    return channels


def _stored(data: bytes, layout: Layout, places: list[int], sizes: list[int]) -> np.ndarray:
    """The bytes of one plane, (parts, rows, row_bytes) uint8, one after another."""
    if layout.compression != UNPACKED:
        return _unpacked(data, layout, places, sizes)
    lengths = [rows * layout.row_bytes for rows in _rows(layout)]
    if any(place + length > len(data) for place, length in zip(places, lengths, strict=True)):
        raise ImageError("truncated", "the file ends before the picture does")
    if not layout.tiled and places == list(itertools.accumulate(lengths[:-1], initial=places[0])):
        stored = np.frombuffer(data, np.uint8, sum(lengths), places[0]).reshape(1, layout.height, layout.row_bytes)
    else:
        stored = np.zeros((len(places), layout.part_height, layout.row_bytes), np.uint8)
        for part, place, length in zip(stored, places, lengths, strict=True):
            part.reshape(-1)[:length] = np.frombuffer(data, np.uint8, length, place)
    return _REVERSED[stored] if layout.reversed_bits else stored


def _rows(layout: Layout) -> list[int]:
    """Of each part of one plane. The last strip ends with the picture; tiles go on."""
    rows = [layout.part_height] * (layout.across * layout.down)
    if not layout.tiled:
        rows[-1] = layout.height - (layout.down - 1) * layout.part_height
    return rows


def _unpacked(data: bytes, layout: Layout, places: list[int], sizes: list[int]) -> np.ndarray:
    if not sizes and len(places) == 1:
        sizes = [max(0, len(data) - places[0])]
    if len(sizes) < len(places) or sum(sizes) > len(data):
        raise ImageError("unreadable", "broken picture: its strips or tiles are said to be longer than the file")
    if any(place + size > len(data) for place, size in zip(places, sizes, strict=True)):
        raise ImageError("truncated", "the file ends before the picture does")
    PICTURES.claim(2 * sum(sizes))
    unpacked = np.zeros((len(places), layout.part_height, layout.row_bytes), np.uint8)
    rows = _rows(layout)
    step = max(1, _AT_ONCE // (layout.part_height * layout.row_bytes))
    for start in range(0, len(places), step):
        some = slice(start, start + step)
        packed = [data[place : place + size] for place, size in zip(places[some], sizes[some], strict=True)]
        with without_warnings(), io.BytesIO(_as_grey_tiff(layout, sum(rows[some]), packed)) as file:
            grey = np.asarray(TiffImagePlugin.TiffImageFile(file))  # (rows, row_bytes)
        unpacked[some].reshape(-1, layout.row_bytes)[: len(grey)] = grey
    return unpacked


def _as_grey_tiff(layout: Layout, rows: int, packed: list[bytes]) -> bytes:
    """A TIFF of 8-bit grey: packed parts, one below another, of one pixel for each byte that they hold."""
    tags = {256: layout.row_bytes, 257: rows, 258: 8, 259: layout.compression, 262: 1, 277: 1}
    tags |= {266: 2 if layout.reversed_bits else 1}
    tags |= {322: layout.row_bytes, 323: layout.part_height} if layout.tiled else {278: layout.part_height}
    count = len(packed)
    tables = 8 + 2 + 12 * (len(tags) + 2) + 4
    *places, _ = itertools.accumulate((len(part) for part in packed), initial=tables + 8 * count)
    entries = {tag: (1, value) for tag, value in tags.items()}
    entries[324 if layout.tiled else 273] = (count, tables) if count > 1 else (1, places[0])
    entries[325 if layout.tiled else 279] = (count, tables + 4 * count) if count > 1 else (1, len(packed[0]))
    directory = b"".join(struct.pack("<HHII", tag, 4, *entry) for tag, entry in sorted(entries.items()))
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + directory + bytes(4)
    return head + struct.pack(f"<{2 * count}I", *places, *(len(part) for part in packed)) + b"".join(packed)


def _numbers(stored: np.ndarray, layout: Layout, order: str) -> np.ndarray:
    """(parts, rows, samples in a row of a part), from the bytes."""
    size = layout.bits // 8
    if layout.bits not in _WHOLE_BYTES:
        return _bits(stored, layout)
    if layout.predictor == 3:
        planes = np.cumsum(stored.reshape(*stored.shape[:2], -1, layout.together), axis=2, dtype=np.uint8)
        planes = planes.reshape(*stored.shape[:2], size, -1)  # the highest bytes of all numbers first
        return np.ascontiguousarray(planes.swapaxes(2, 3)).view(f">f{size}")[..., 0]
    if layout.predictor == 2:
        differences = stored.view(f"{order}u{size}").reshape(*stored.shape[:2], -1, layout.together)
        return np.cumsum(differences, axis=2, dtype=f"u{size}").view(f"{layout.kind}{size}")
    return stored.view(f"{order}{layout.kind}{size}")


def _bits(stored: np.ndarray, layout: Layout) -> np.ndarray:
    """As _numbers, of unsigned integers of up to 16 bits that follow each other without regard to bytes."""
    first = np.arange(layout.part_width * layout.together) * layout.bits
    at, shift = first // 8, (24 - layout.bits - first % 8).astype(np.uint32)
    rows = stored.reshape(-1, layout.row_bytes)
    numbers = np.empty((len(rows), len(first)), np.uint16)
    step = max(1, _AT_ONCE // (16 * len(first)))
    for start in range(0, len(rows), step):
        padded = np.pad(rows[start : start + step], ((0, 0), (0, 2)))
        window = np.zeros((len(padded), len(first)), np.uint32)
        for further in range(3):
            window = window << 8 | padded[:, at + further]
        numbers[start : start + step] = window >> shift & (1 << layout.bits) - 1
    return numbers.reshape(*stored.shape[:2], -1)


def _in_place(numbers: np.ndarray, layout: Layout) -> np.ndarray:
    """(H, W, channels together), from parts that lie one after another."""
    if layout.across == 1:
        pixels = numbers.reshape(-1, layout.part_width, layout.together)
    else:
        tiles = numbers.reshape(layout.down, layout.across, layout.part_height, layout.part_width, layout.together)
        pixels = tiles.swapaxes(1, 2).reshape(-1, layout.across * layout.part_width, layout.together)
    return pixels[: layout.height, : layout.width]
