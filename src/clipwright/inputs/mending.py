"""Files whose picture is whole, though the decoder refuses them."""

from __future__ import annotations

from clipwright.inputs import jpeg_ending, png_chunks
from clipwright.inputs.memory import PICTURES

_JPEG_2000 = (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ")


def mended(data: bytes) -> bytes | None:
    """The same picture as a file that the decoder takes; None where there is no hope.

    Only within a scope of inputs/memory.py. Raises what decoders raise.
    """
    PICTURES.claim(2 * len(data))
    if data.startswith(png_chunks.SIGNATURE):
        picture = png_chunks.only_picture(data)
        return picture if len(picture) < len(data) else None
    whole = data.removesuffix(jpeg_ending.END[:1]) + jpeg_ending.END
    if data.startswith(b"\xff\xd8\xff"):
        return whole if jpeg_ending.lacks_only_its_end(data) else None
    return whole if data.startswith(_JPEG_2000) else None  # whose decoder knows by itself whether anything is missing
