"""TIFFs whose numbers Pillow reads wrong or not at all, as pictures of 8 bits; the others are left to it."""

from __future__ import annotations

import contextlib
import io

import numpy as np
from PIL import Image, ImageChops

from clipwright.errors import ImageError
from clipwright.inputs.brightness import to_8_bits, white_level
from clipwright.inputs.colours import from_cmyk
from clipwright.inputs.memory import PICTURES, check_size
from clipwright.inputs.remarks import without_warnings
from clipwright.inputs.stored_picture import StoredPicture
from clipwright.inputs.tiff_layout import (
    CIELAB,
    CMYK,
    ICCLAB,
    PALETTE,
    WHITE_IS_ZERO,
    YCBCR,
    Layout,
    is_for_pillow,
    read_layout,
    refusal,
)
from clipwright.inputs.tiff_samples import read_channels
from clipwright.inputs.tiff_tags import Directory, directories

_BIG_ENDIAN_BIGTIFF = b"MM\0+"
"""How one begins; Pillow 13 takes it for an ordinary TIFF and finds nothing in it."""


def open_tiff(data: bytes, max_pixels: int) -> StoredPicture | None:
    """The first picture of a TIFF, with 8 bits a channel; None where Pillow reads it.

    Only within a scope of inputs/memory.py. Raises ImageError: unsupported_format, by name, for what neither reads.
    """
    directory = next(directories(data), None)
    if directory is None:
        raise ImageError("truncated", "the file ends before the picture does")
    width, height = directory.number(256, 0), directory.number(257, 0)
    check_size(width, height, max_pixels)
    layout = read_layout(directory)
    if (directory.numbers(324 if layout.tiled else 273) == 0).any():
        raise ImageError("unsupported_format", "a TIFF of which parts were left out (sparse) is not read here")
    if is_for_pillow(layout) and data[:4] != _BIG_ENDIAN_BIGTIFF:
        return None
    reason = refusal(layout)
    if reason is not None:
        raise ImageError("unsupported_format", f"a TIFF {reason} is not read here; save it as RGB of 8 or 16 bits")
    PICTURES.claim(12 * width * height)
    channels = _in_8_bits(read_channels(directory, layout), layout)
    image = _coloured(channels[: layout.colours], directory, layout)
    if layout.alpha is not None:
        image = _with_alpha(image, Image.fromarray(channels[-1]), layout)
    return StoredPicture(image, width, height, directory.number(274, 1), _exif(directory))


def _in_8_bits(channels: list[np.ndarray], layout: Layout) -> list[np.ndarray]:
    """The colours, and alpha behind them; numbers in a palette as they are."""
    colours, alpha = channels[: layout.colours], channels[layout.colours :]
    if layout.photometric in (CIELAB, ICCLAB):  # the highest bits; a and b have a sign in CIE's, and none in Pillow
        sign = 128 if layout.photometric == CIELAB else 0
        lab = [(colour >> (layout.bits - 8)).astype(np.uint8) for colour in colours]
        colours = [lab[0], lab[1] ^ sign, lab[2] ^ sign]
    elif layout.photometric != PALETTE:
        white = white_level(colours, layout.bits)
        colours = [to_8_bits(colour, white, layout.photometric == WHITE_IS_ZERO) for colour in colours]
    return colours + [to_8_bits(opacity, white_level(alpha, layout.bits)) for opacity in alpha]


def _coloured(colours: list[np.ndarray], directory: Directory, layout: Layout) -> Image.Image:
    """In L, RGB or CMYK, with its profile."""
    if layout.photometric == PALETTE:
        image = Image.fromarray(_palette(directory).take(colours[0], axis=0, mode="clip"))
    else:
        mode = {CMYK: "CMYK", YCBCR: "YCbCr", CIELAB: "LAB", ICCLAB: "LAB"}.get(layout.photometric, "RGB")
        bands = [Image.fromarray(colour) for colour in colours]
        image = bands[0] if len(bands) == 1 else Image.merge(mode, bands)
        image = image.convert("RGB") if mode in ("YCbCr", "LAB") else image
    profile = directory.numbers(34675).tobytes()
    image.info = {"icc_profile": profile} if profile else {}
    return image


def _palette(directory: Directory) -> np.ndarray:
    """(N, 3) uint8. Of 16 bits by the standard; some writers fill 8."""
    table = directory.numbers(320)
    if not table.size or table.size % 3:
        raise ImageError("unreadable", "broken picture: a TIFF without the colours of its palette")
    return (table if table.max() < 256 else table >> 8).astype(np.uint8).reshape(3, -1).T


def _with_alpha(image: Image.Image, alpha: Image.Image, layout: Layout) -> Image.Image:
    """Colours that are multiplied by alpha are laid on white here; the others get it as a channel."""
    image = from_cmyk(image) if layout.photometric == CMYK else image
    if not layout.premultiplied:
        image.putalpha(alpha)
    elif layout.photometric not in (CMYK, WHITE_IS_ZERO):  # where white is 0, these lie on it
        rest = ImageChops.invert(alpha)
        image = Image.merge(image.mode, [ImageChops.add(band, rest) for band in image.split()])
    return image


def _exif(directory: Directory) -> Image.Exif:
    exif = Image.Exif()
    if directory.data[:4] != _BIG_ENDIAN_BIGTIFF:
        exif.bigtiff, exif.endian = b"+" in directory.data[2:4], directory.order
        with contextlib.suppress(Exception), without_warnings():  # broken EXIF is no reason to lose the picture
            exif.load_from_fp(io.BytesIO(directory.data), directory.at)
    return exif
