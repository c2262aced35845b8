"""Colours as a picture's file means them.

Phones and cameras write pictures in wider spaces than sRGB, and say so by an ICC profile. Models are given the numbers
as they are, as their makers did; what people look at is brought to sRGB, or it would look pale.
"""

from __future__ import annotations

import functools
import io

from PIL import Image, ImageCms

_LARGEST = 2**22
"""Bytes of a profile that is used. Those of RGB have a few hundred, those of printers' inks up to some millions."""


def rgb_profile(image: Image.Image) -> bytes | None:
    """The profile of a picture as its file was decoded, where it stays true once the picture is converted to RGB."""
    profile = image.info.get("icc_profile")
    if image.mode not in ("RGB", "RGBA", "P") or not isinstance(profile, bytes):
        return None
    return profile if profile[16:20] == b"RGB " else None  # the space that it is for


def in_srgb(image: Image.Image) -> Image.Image:
    """An RGB picture by its profile, info["icc_profile"]; as it is where it has none, or a broken one."""
    profile = image.info.get("icc_profile")
    transform = _to_srgb(profile, "RGB") if profile else None
    if transform is None:
        return image
    shown = transform.apply(image)
    shown.info = {}
    return shown


def from_cmyk(image: Image.Image) -> Image.Image:
    """A CMYK picture in sRGB by its profile; by Pillow's plain rule where it has none, or a broken one."""
    profile = image.info.get("icc_profile")
    transform = _to_srgb(profile, "CMYK") if profile else None
    return image.convert("RGB") if transform is None else transform.apply(image)


@functools.lru_cache(maxsize=4)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    if len(profile) > _LARGEST:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.ImageCmsTransform(source, ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
