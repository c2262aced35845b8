"""PNGs of which only the picture is wanted (W3C, Portable Network Graphics, third edition)."""

from __future__ import annotations

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SHORT = (b"tRNS", b"eXIf")
_LONG = (b"iCCP", b"tEXt", b"zTXt", b"iTXt")
"""Ancillary chunks that say how the first frame looks. Texts may hold EXIF, or the orientation as XMP."""
_LARGEST, _MOST = 2**20, 2**24
"""Bytes of a profile or text unpacked, at the most, as in Pillow; and of all that are unpacked to learn their size."""


def only_picture(png: bytes) -> bytes:
    """The file without what can be missed, what is too large when unpacked, and what its checksum says is damaged.

    Chunks without which there is no picture stay as they are.
    """
    kept, at, room = [memoryview(png)[: len(SIGNATURE)]], len(SIGNATURE), _MOST
    while at + 8 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        chunk = memoryview(png)[at : at + length + 12]
        at += length + 12
        is_sound = zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big") if kind in (*_SHORT, *_LONG) else False
        if kind in _LONG and is_sound:
            size = _unpacked_size(kind, bytes(chunk[8:-4])) if length < _LARGEST < room else _LARGEST
            room -= size
            is_sound = size < _LARGEST
        if kind[:1].isupper() or is_sound:
            kept.append(chunk)
    return b"".join(kept)


def _unpacked_size(kind: bytes, content: bytes) -> int:
    """Bytes of a profile or text; _LARGEST for one that is as large or larger, or that cannot be unpacked."""
    packed = content.partition(b"\0")[2]
    if kind == b"iTXt" and packed[:1] == b"\1":
        packed = packed[1:2] + packed[2:].split(b"\0", 2)[-1]
    elif kind in (b"tEXt", b"iTXt"):
        return len(content)
    if packed[:1] != b"\0":  # the only way to pack there is
        return _LARGEST
    try:
        return len(zlib.decompressobj().decompress(packed[1:], _LARGEST))
    except zlib.error:
        return _LARGEST
