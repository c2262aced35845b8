"""Opening pictures: whatever comes in, upright 8-bit RGB goes out, or an ImageError that says why not."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from clipwright.errors import ImageError
from clipwright.inputs import heif, raw
from clipwright.inputs.arrays import SupportsArray, as_array
from clipwright.inputs.brightness import to_8_bits, white_level
from clipwright.inputs.colours import from_cmyk, rgb_profile
from clipwright.inputs.memory import PICTURES, check_size
from clipwright.inputs.remarks import without_warnings
from clipwright.inputs.stored_picture import StoredPicture
from clipwright.inputs.tiff_tags import is_tiff

ImageSource = str | Path | bytes | Image.Image | np.ndarray | SupportsArray
"""A path, an encoded picture, an opened one, or an array (H, W), (H, W, 3) or (H, W, 4) of uint8, uint16 or 0 to 1; a
tensor of torch may be (3, H, W) too."""

MAX_PIXELS = 178_956_970
"""The largest picture that is opened: about 13,000 x 13,000, where Pillow itself stops (a gibibyte as RGBX)."""

LARGEST_FILE = 2**31
"""Bytes of the largest file that is opened."""

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "DIB", "JPEG2000", "PPM")
"""What is decoded. Pillow knows more, some of it by starting other programs on the file (EPS: Ghostscript)."""

_BEYOND = 1e-3
"""How far resizing, say, may bring a picture of floats beyond 0 and 1."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to what makes the picture upright."""


@dataclass(frozen=True)
class OpenedPhoto:
    """A picture with what its file says of it."""

    image: Image.Image
    """Upright RGB, decoded smaller where that was allowed."""
    width: int
    """Pixels of the upright picture as it is stored."""
    height: int
    format: str
    """As Pillow names it; RAW for a camera's own."""
    orientation: int
    """EXIF's 1 to 8, as the file says; 1 where it says nothing that has a meaning."""
    exif: Image.Exif
    """Without any tag where the file has none, or where they cannot be read."""
    profile: bytes | None
    """The ICC profile that its colours are meant by; it stands in image.info too."""


def open_image(source: ImageSource, at_least: int | None = None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """An upright RGB picture from any source.

    at_least allows an encoded JPEG to be decoded smaller, by the next power of two that leaves neither side below so
    many pixels: several times faster for a photograph, and nearly the same picture once it is resized.

    EXIF orientation is applied, palettes are expanded, 16-bit values scaled, alpha laid on white, CMYK converted by
    its embedded profile where it has one, and of an animation the first frame is taken. Other colours stay the numbers
    that they are; what they are meant by stands in info["icc_profile"], for colours.in_srgb.
    Raises ImageError, whatever is wrong with the source.
    """
    array = as_array(source)
    if array is not None:
        return _from_array(array)
    with _as_image_errors(max_pixels), PICTURES.scope():
        if isinstance(source, Image.Image):
            photo = _open(source, at_least, max_pixels)
        else:
            data = source if isinstance(source, bytes) else _read_file(Path(cast("str | Path", source)))
            photo = _open_encoded(data, at_least, max_pixels)
        return _informed(photo.image.copy() if photo.image is source else photo.image, photo.profile)


def open_photo(data: bytes, at_least: int | None = None) -> OpenedPhoto:
    """The picture in the bytes of a file, opened as open_image does, with what the file says of it."""
    with _as_image_errors(MAX_PIXELS), PICTURES.scope():
        photo = _open_encoded(data, at_least, MAX_PIXELS)
        _informed(photo.image, photo.profile)
        return photo


def _informed(image: Image.Image, profile: bytes | None) -> Image.Image:
    """With nothing but its profile: what it said of orientation and transparency holds no longer."""
    image.info = {} if profile is None else {"icc_profile": profile}
    return image


def _open_encoded(data: bytes, at_least: int | None, max_pixels: int) -> OpenedPhoto:
    _give_memory_back()
    is_raw = raw.is_raw(data)
    stored = raw.open_raw(data, at_least, max_pixels) if is_raw else _open_tiff(data, max_pixels)
    if stored is None:
        return _open_by_pillow(data, at_least, max_pixels)
    orientation = stored.orientation if stored.orientation in _TURNS else 1
    kind = "RAW" if is_raw else "TIFF"
    return _upright(stored.image, stored.width, stored.height, kind, orientation, stored.exif)


def _open_tiff(data: bytes, max_pixels: int) -> StoredPicture | None:
    if not is_tiff(data):
        return None
    from clipwright.inputs.tiff import open_tiff

    return open_tiff(data, max_pixels)


def _open_by_pillow(data: bytes, at_least: int | None, max_pixels: int) -> OpenedPhoto:
    try:
        return _open(_decode_header(data), at_least, max_pixels)
    except (ImageError, MemoryError):
        raise
    except Exception as error:
        refused = error.with_traceback(None)  # it would hold what was decoded so far
    from clipwright.inputs.mending import mended

    whole = None
    with contextlib.suppress(Exception):
        whole = mended(data)
    if whole is None:
        raise refused
    return _open(_decode_header(whole), at_least, max_pixels)


def _open(image: Image.Image, at_least: int | None, max_pixels: int) -> OpenedPhoto:
    width, height = image.size
    check_size(width, height, max_pixels)
    _load(image, at_least)
    exif, orientation = _exif(image)
    return _upright(image, width, height, image.format or "", orientation, exif)


def _upright(image: Image.Image, width: int, height: int, kind: str, orientation: int, exif: Image.Exif) -> OpenedPhoto:
    turn = _TURNS.get(orientation)
    opened = _to_rgb(image if turn is None else image.transpose(turn))
    if orientation > 4:
        width, height = height, width
    return OpenedPhoto(opened, width, height, kind, orientation, exif, rgb_profile(image))


@contextlib.contextmanager
def _as_image_errors(max_pixels: int) -> Iterator[None]:
    """Makes an ImageError of whatever goes wrong with a picture."""
    try:
        yield
    except ImageError:
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageError("missing", "no such file") from error
    except IsADirectoryError as error:
        raise ImageError("unreadable", "is a folder, not a picture") from error
    except PermissionError as error:
        raise ImageError("unreadable", "may not be read: permission denied") from error
    except Image.DecompressionBombError as error:
        claimed = re.search(r"\d+", str(error))  # Pillow refuses the largest pictures before it tells their sides
        pixels = f"{int(claimed[0]):,}" if claimed else "too many"
        raise ImageError("too_large", f"claims {pixels} pixels; the limit is {max_pixels:,}") from error
    except MemoryError as error:
        raise ImageError("too_large", "has more pixels than the memory holds") from error
    except UnidentifiedImageError as error:
        raise ImageError("not_an_image", "not a picture in any format that is read here") from error
    except Exception as error:  # decoders meet hostile bytes with every kind of exception
        if "truncated" in str(error).lower() or isinstance(error, EOFError):
            raise ImageError("truncated", "the file ends before the picture does") from error
        if isinstance(error, OSError) and error.strerror:  # the system's own; all of its words would name the file
            raise ImageError("unreadable", f"cannot be read: {error.strerror}") from error
        raise ImageError("unreadable", f"broken picture: {_one_line(error)}") from error


def _decode_header(data: bytes) -> Image.Image:
    if not data:
        raise ImageError("empty", "the file is empty")
    formats: tuple[str, ...] = FORMATS
    if heif.may_be_heif(data):
        heif.register()
        heif.check(data)
        formats = (*FORMATS, "HEIF")
    with without_warnings():  # among them Pillow's on many pixels: our own limit is checked right after
        return Image.open(io.BytesIO(data), formats=formats)


def _load(image: Image.Image, at_least: int | None) -> None:
    stored = image.width * image.height
    if at_least is not None and image.format == "JPEG" and min(image.size) > at_least:
        image.draft(None, (at_least, at_least))
    PICTURES.claim(_decoded_size(image, stored))
    _give_memory_back()
    if image.format == "TIFF":  # decoding one ends with reading its metadata once more
        with without_warnings():
            image.load()
    else:
        image.load()


@functools.cache
def _give_memory_back() -> None:
    """Makes Pillow ask for the pixels of a large picture in one block.

    The C library returns such a block to the system as soon as the picture is gone. In the blocks of 16 MiB that Pillow
    asks for by itself, each thread would keep as much as its largest picture took, for good.
    """
    from PIL.Image import core  # type: ignore[attr-defined]  # not in its stubs

    core.set_block_size(2**26)


def _decoded_size(image: Image.Image, stored: int) -> int:
    """Bytes that decoding takes, at the most: as decoded, and once more as it is turned or converted.

    A progressive JPEG is held whole, as coefficients, of all the pixels that are stored, before it becomes smaller.
    """
    return 8 * image.width * image.height + (6 * stored if "progressive" in image.info else 0)


def _read_file(path: Path) -> bytes:
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ImageError("unreadable", "not an ordinary file")  # a pipe or a device would never end
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST_FILE:
            raise ImageError("too_large", "the file has more than 2 GiB")
        PICTURES.claim(size)
        return file.read()


def _exif(image: Image.Image) -> tuple[Image.Exif, int]:
    """What the file says, and the orientation among it."""
    if image.format == "JPEG" and "exif" not in image.info and "xmp" not in image.info:
        return Image.Exif(), 1  # it says nothing of its orientation; asking takes longer than decoding a small picture
    try:
        with without_warnings():
            exif = image.getexif()
            orientation = exif.get(ExifTags.Base.Orientation, 1)
        return exif, orientation if orientation in _TURNS else 1
    except Exception:  # broken EXIF is no reason to lose the picture
        return Image.Exif(), 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return _from_array(np.asarray(image), wide=True)
    if image.mode == "CMYK":
        return from_cmyk(image)
    if "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        image = image.convert("LA") if image.mode == "La" else image  # which Pillow converts to nothing else
        return _on_white(image.convert("RGBA"))
    return image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _from_array(array: np.ndarray, wide: bool = False) -> Image.Image:
    """A picture from (H, W), (H, W, 3) or (H, W, 4). wide: integers of more than 8 bits and floats of any range."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or 0 in array.shape:
        raise ImageError("not_an_image", f"an array of shape {array.shape} is no picture; (H, W, 3) is")
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise ImageError("too_large", f"{array.shape[1]:,} x {array.shape[0]:,} pixels; the limit is {MAX_PIXELS:,}")
    array = array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array
    image = Image.fromarray(np.ascontiguousarray(_to_uint8(array, wide)))
    return _on_white(image) if image.mode == "RGBA" else image.convert("RGB")


def _to_uint8(array: np.ndarray, wide: bool) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255
    if wide:
        return to_8_bits(array, white_level([array]))
    if array.dtype.kind == "f":
        least, largest = float(array.min(initial=0)), float(array.max(initial=0))
        if not (least >= -_BEYOND and largest <= 1 + _BEYOND):  # neither is NaN either
            seen = f"the largest value here is {largest:g}" if largest > 1 else f"the smallest value here is {least:g}"
            pixels = "; pixels that are normalised already go to image_features" if least < 0 else ""
            raise ImageError("not_an_image", f"a float picture holds 0 to 1; {seen}{pixels}")
        return to_8_bits(array, 1)
    if array.dtype in (np.dtype("<u2"), np.dtype(">u2")):
        return to_8_bits(array, 65535)
    raise ImageError("not_an_image", f"an array of {array.dtype} is no picture; uint8, uint16 or float 0 to 1 is")


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
