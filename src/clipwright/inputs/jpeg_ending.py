"""JPEGs that lack only their end, told apart from those that were cut (ITU-T T.81)."""

from __future__ import annotations

import hashlib
import io
import re

from PIL import Image

from clipwright.inputs.memory import PICTURES
from clipwright.inputs.remarks import without_warnings

END = b"\xff\xd9"
_SEGMENT = re.compile(rb"\xff[\xc0-\xcf\xda-\xfe]")
"""The beginning of a marker that has a length behind it; within a scan there are others only."""
_FRAMES, _SCAN = (0xC0, 0xC1, 0xC2), 0xDA
_MOST_SEGMENTS = 10_000
_NOISE = hashlib.shake_128(b"noise").digest(4096).replace(b"\xff", b"\xfe")
"""More than a block group of any picture takes."""
_FIRST_BITS = (b"\x55", b"\xaa", b"\xfe")
"""01, 10 and 11; the end itself counts as 00. Where one bit or two are missing, that is all that they can be."""
_BAND = 256


def lacks_only_its_end(jpeg: bytes) -> bool:
    """Whether a JPEG without its end holds all of its picture.

    libjpeg fills in what is missing and does not say so. Where nothing is missing, though, the picture is the same
    whatever follows: so it is decoded with its end at once, and with noise before it. Noise goes on behind a mark too,
    where the decoder may be waiting for one.
    """
    body = jpeg.removesuffix(END[:1])
    if not _has_all_scans(body):
        return False
    with _opened(body + END) as image:
        PICTURES.claim(10 * image.width * image.height)  # of a progressive one all coefficients are held too
    restart = bytes([0xFF, 0xD0 + _next_restart(body)])
    alone = _pixels(body + END)
    noises = (first + _NOISE for first in _FIRST_BITS)
    return all(_pixels(body + noise + restart + noise + END) == alone for noise in noises)


def _has_all_scans(jpeg: bytes) -> bool:
    """Whether there is a scan for each bit of each coefficient, as far as it goes: the last ones may be lacking."""
    lacking: dict[int, set[int]] = {}
    at = 2
    for _ in range(_MOST_SEGMENTS):
        found = _SEGMENT.search(jpeg, at)
        if found is None:
            return bool(lacking) and not any(lacking.values())
        marker, at = jpeg[found.end() - 1], found.end()
        length = int.from_bytes(jpeg[at : at + 2], "big")
        content = jpeg[at + 2 : at + length]
        at += length
        if marker in _FRAMES and len(content) > 5:
            lacking = {component: set(range(64)) for component in content[6 : 6 + 3 * content[5] : 3]}
        elif marker == _SCAN and len(content) > 3 and len(content) >= 4 + 2 * content[0]:
            first, last, bits = content[1 + 2 * content[0] : 4 + 2 * content[0]]
            for component in content[1 : 1 + 2 * content[0] : 2]:
                if bits % 16 == 0:
                    lacking.get(component, set()).difference_update(range(first, last + 1))
    return False


def _next_restart(jpeg: bytes) -> int:
    """The number of the mark that the last scan would go on with."""
    scan = jpeg.rfind(bytes([0xFF, _SCAN]))
    last = max(reversed(range(8)), key=lambda number: jpeg.rfind(bytes([0xFF, 0xD0 + number]), scan))
    return (last + 1) % 8


def _pixels(jpeg: bytes) -> bytes:
    """A hash of the decoded picture."""
    pixels = hashlib.blake2b()
    with _opened(jpeg) as image:
        for top in range(0, image.height, _BAND):
            pixels.update(image.crop((0, top, image.width, min(top + _BAND, image.height))).tobytes())
    return pixels.digest()


def _opened(jpeg: bytes) -> Image.Image:
    with without_warnings():
        return Image.open(io.BytesIO(jpeg), formats=["JPEG"])
