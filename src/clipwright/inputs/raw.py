"""The raw files of cameras, with the 'raw' extra: the preview in them, or a development at half size."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import os
from collections.abc import Collection
from typing import Any

from PIL import Image, UnidentifiedImageError

from clipwright.errors import ImageError
from clipwright.inputs import tiff_tags
from clipwright.inputs.memory import PICTURES, check_size
from clipwright.inputs.stored_picture import StoredPicture

RAW_SUFFIXES = frozenset(
    [
        ".3fr",
        ".arw",
        ".cr2",
        ".cr3",
        ".crw",
        ".dcr",
        ".dng",
        ".erf",
        ".fff",
        ".iiq",
        ".kdc",
        ".mef",
        ".mos",
        ".mrw",
        ".nef",
        ".nrw",
        ".orf",
        ".pef",
        ".raf",
        ".rw2",
        ".rwl",
        ".sr2",
        ".srf",
        ".srw",
        ".x3f",
    ]
)
"""Lower-case endings of what cameras write when they keep what the sensor saw."""

_SAME_SHOT = frozenset([".jpg", ".jpeg", ".jpe", ".jfif", ".heic", ".heif"])
"""What cameras and telephones write together with a raw file."""
NEEDS_EXTRA = "a camera's raw file; reading these needs the 'raw' extra: pip install 'clipwright[raw]'"

_SMALLEST_PREVIEW = 640
"""Pixels of the longer side from which a preview is taken: smaller ones are blurred icons, some of them cropped."""
_BEGINNINGS = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM", b"II\x1a\0\0\0HEAPCCDR")
"""Of Fujifilm's, Olympus's (three), Panasonic's, Sigma's, Minolta's and Canon's oldest files."""
_CFA, _LINEAR_RAW = 32803, 34892
"""TIFF's photometric interpretations of what a sensor saw."""
_PHOTOMETRIC, _DNG_VERSION = 262, 50706
_TURNS = {3: 3, 5: 8, 6: 6}
"""LibRaw's word for how the camera was held to EXIF's."""


@functools.cache
def is_available() -> bool:
    """Whether raw files can be read here."""
    return importlib.util.find_spec("rawpy") is not None


def is_raw_name(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in RAW_SUFFIXES


def beside_their_pictures(names: Collection[str]) -> set[str]:
    """Those of the names in one folder that are raw files of a shot whose JPEG or HEIF lies there too."""
    raws = [name for name in names if is_raw_name(name)]
    if not raws:
        return set()
    parts = (os.path.splitext(name.lower()) for name in names)
    shots = {stem for stem, suffix in parts if suffix in _SAME_SHOT}
    return {name for name in raws if os.path.splitext(name.lower())[0] in shots}


def is_raw(data: bytes) -> bool:
    """Whether these are the bytes of a camera's raw file: by how it begins, or as a TIFF of what a sensor saw."""
    if data.startswith(_BEGINNINGS) or (data[4:8] == b"ftyp" and data[8:12] == b"crx "):
        return True
    if not tiff_tags.is_tiff(data):
        return False
    return data[8:10] == b"CR" or any(
        _DNG_VERSION in directory.tags or directory.number(_PHOTOMETRIC, 0) in (_CFA, _LINEAR_RAW)
        for directory in tiff_tags.directories(data)
    )


def open_raw(data: bytes, at_least: int | None, most_pixels: int) -> StoredPicture:
    """The picture in a raw file; at_least as in open_image. Only within a scope of inputs/memory.py.

    Raises ImageError: unsupported_format without the extra, and where LibRaw does not know the camera.
    """
    if not is_available():
        raise ImageError("unsupported_format", NEEDS_EXTRA)
    import rawpy

    try:
        with rawpy.RawPy() as camera:
            camera.open_buffer(io.BytesIO(data))
            sizes = camera.sizes
            check_size(sizes.width, sizes.height, most_pixels)
            preview = _preview(camera, at_least)
            orientation = _TURNS.get(sizes.flip, 1)
            if preview is not None and orientation > 4 and _is_upright(preview) and not _is_upright(sizes):
                orientation = 1  # the camera turned the preview itself
            image = _developed(camera) if preview is None else preview
            return StoredPicture(image, sizes.width, sizes.height, orientation, _exif(data, image))
    except rawpy.LibRawFileUnsupportedError as error:
        raise ImageError("unsupported_format", "a raw file of a kind that LibRaw does not know") from error
    except rawpy.LibRawIOError as error:
        raise ImageError("truncated", "the file ends before the picture does") from error
    except rawpy.LibRawError as error:
        raise ImageError("unreadable", f"broken raw file: {str(error)[:200]}") from error


def _preview(camera: Any, at_least: int | None) -> Image.Image | None:
    """The largest preview, where there is one that is large enough and can be decoded."""
    import rawpy

    try:
        found = camera.extract_thumb()
        if found.format == rawpy.ThumbFormat.BITMAP:
            image = Image.fromarray(found.data)
        else:
            image = Image.open(io.BytesIO(found.data), formats=["JPEG"])
        if max(image.size) < _SMALLEST_PREVIEW:
            return None
        if at_least is not None and min(image.size) > at_least:
            image.draft(None, (at_least, at_least))
        PICTURES.claim(8 * image.width * image.height)
        image.load()
    except (rawpy.LibRawError, UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return None
    return image


def _developed(camera: Any) -> Image.Image:
    sizes = camera.sizes
    PICTURES.claim(8 * sizes.raw_width * sizes.raw_height)  # of 16 bits, beside four channels at half size
    pixels = camera.postprocess(half_size=True, use_camera_wb=True, user_flip=0, output_bps=8)
    return Image.fromarray(pixels)


def _is_upright(shape: Any) -> bool:
    return bool(shape.height > shape.width)


def _exif(data: bytes, image: Image.Image) -> Image.Exif:
    """What the file says, where it is built as a TIFF; else what its preview says."""
    exif = Image.Exif()
    if data[:2] in (b"II", b"MM") and b"+" not in data[2:4]:  # no BigTIFF
        order = data[:2]
        with contextlib.suppress(Exception):  # broken EXIF is no reason to lose the picture
            exif.load((b"II*\0" if order == b"II" else b"MM\0*") + data[4:])
            return exif
    with contextlib.suppress(Exception):
        return image.getexif()
    return Image.Exif()
