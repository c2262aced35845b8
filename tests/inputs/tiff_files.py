"""TIFFs of any numbers, written by hand: what no library at hand writes, or not without another."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from PIL import Image, TiffImagePlugin

UNPACKED, LZW, DEFLATE, PACKBITS = 1, 5, 8, 32773


def tiff(
    numbers: np.ndarray,
    photometric: int,
    *,
    bits: int | None = None,
    order: Literal["<", ">"] = "<",
    big: bool = False,
    compression: int = UNPACKED,
    predictor: int = 1,
    apart: bool = False,
    tile: tuple[int, int] | None = None,
    rows: int | None = None,
    extras: Sequence[int] = (),
    reversed_bits: bool = False,
    tags: Mapping[int, Sequence[int]] | None = None,
) -> bytes:
    """numbers is (H, W) or (H, W, C). bits packs unsigned integers; tile is (height, width), rows those of a strip.

    tags adds some or takes the place of others, bytes or integers; an empty one leaves its tag out.
    """
    numbers = numbers[:, :, None] if numbers.ndim == 2 else numbers
    height, width, channels = numbers.shape
    high, wide = tile or (min(rows or height, height), width)
    planes = [numbers[:, :, [channel]] for channel in range(channels)] if apart else [numbers]
    parts = []
    for plane in planes:
        for top in range(0, height, high):
            for left in range(0, width, wide):
                part = plane[top : top + high, left : left + wide]
                if tile:
                    part = np.pad(part, ((0, high - part.shape[0]), (0, wide - part.shape[1]), (0, 0)))
                parts.append(_packed(_bytes(part, bits, order, predictor), compression, reversed_bits))
    kind = {"u": 1, "i": 2, "f": 3, "c": 6}[numbers.dtype.kind]
    written: dict[int, Sequence[int]] = {
        256: [width],
        257: [height],
        258: [bits or 8 * numbers.dtype.itemsize] * channels,
        259: [compression],
        262: [photometric],
        266: [2 if reversed_bits else 1],
        277: [channels],
        284: [2 if apart else 1],
        317: [predictor],
        338: extras,
        339: [kind] * channels,
    }
    written |= {322: [wide], 323: [high], 324: [], 325: []} if tile else {278: [high], 273: [], 279: []}
    written |= tags or {}
    return _file(written, parts, 324 if tile else 273, order, big)


def _bytes(part: np.ndarray, bits: int | None, order: Literal["<", ">"], predictor: int) -> np.ndarray:
    """(rows, bytes) of a strip or tile."""
    high, _, channels = part.shape
    if bits is not None:
        places = np.arange(bits)[::-1]
        ones = (part.reshape(high, -1, 1).astype(np.uint64) >> places.astype(np.uint64)) & np.uint64(1)
        return np.packbits(ones.astype(np.uint8).reshape(high, -1), axis=1)
    size = part.dtype.itemsize
    if predictor == 3:
        high_first = part.astype(f">f{size}").reshape(high, -1, 1).view(np.uint8)
        planes = high_first.reshape(high, -1, size).swapaxes(1, 2).reshape(high, -1, channels)
        return np.diff(planes, axis=1, prepend=np.zeros((high, 1, channels), np.uint8)).reshape(high, -1)
    if predictor == 2:
        whole = part.view(f"{part.dtype.byteorder.replace('|', '=')}u{size}").astype(f"u{size}")
        part = np.diff(whole, axis=1, prepend=np.zeros((high, 1, channels), whole.dtype))
    return np.ascontiguousarray(part.astype(part.dtype.newbyteorder(order))).view(np.uint8).reshape(high, -1)


def _packed(rows: np.ndarray, compression: int, reversed_bits: bool) -> bytes:
    data = rows.tobytes()
    if compression == DEFLATE:
        data = zlib.compress(data)
    elif compression == PACKBITS:  # as it is, in runs of up to 128
        runs = [row[at : at + 128].tobytes() for row in rows for at in range(0, len(row), 128)]
        data = b"".join(bytes([len(run) - 1]) + run for run in runs)
    elif compression == LZW:
        file = io.BytesIO()
        Image.frombytes("L", (rows.shape[1], rows.shape[0]), data).save(file, "TIFF", compression="tiff_lzw")
        file.seek(0)
        with TiffImagePlugin.TiffImageFile(file) as image:
            (place,), (size,) = image.tag_v2[273], image.tag_v2[279]
        data = file.getvalue()[place : place + size]
    return data.translate(bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))) if reversed_bits else data


def _file(tags: dict[int, Sequence[int]], parts: list[bytes], first: int, order: str, big: bool) -> bytes:
    magic = b"II" if order == "<" else b"MM"
    file = bytearray(magic + struct.pack(f"{order}HHHQ" if big else f"{order}HI", *((43, 8, 0, 0) if big else (42, 0))))
    places = []
    for part in parts:
        places.append(len(file))
        file += part + b"\0" * (len(part) % 2)
    sizes = first + (1 if first == 324 else 6)
    tags = {**tags, first: tags[first] or places, sizes: tags[sizes] or [len(part) for part in parts]}
    entries = []
    for tag, values in sorted((tag, values) for tag, values in tags.items() if len(values)):
        value = values if isinstance(values, bytes) else struct.pack(f"{order}{len(values)}I", *values)
        if len(value) > (8 if big else 4):
            place = len(file)
            file += value
            value = struct.pack(order + ("Q" if big else "I"), place)
        entries.append(
            struct.pack(order + ("HHQ" if big else "HHI"), tag, 7 if isinstance(values, bytes) else 4, len(values))
            + value.ljust(8 if big else 4, b"\0")
        )
    struct.pack_into(order + ("Q" if big else "I"), file, 8 if big else 4, len(file))
    return bytes(file) + struct.pack(order + ("Q" if big else "H"), len(entries)) + b"".join(entries) + bytes(8)
