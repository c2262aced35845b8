"""Which files in a folder are pictures, and which only look like some, by the endings of their names."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

from PIL import Image

from clipwright.inputs import heif, raw
from clipwright.inputs.images import FORMATS

_OTHER_JPEGS = frozenset([".insp", ".jif", ".jps", ".pjp", ".pjpeg"])
"""Endings of JPEGs that Pillow does not know: among them Insta360's, those of stereo pairs, and what browsers save."""

_UNREAD = frozenset([
    ".afphoto", ".bpg", ".cur", ".dcx", ".dds", ".djvu", ".emf", ".eps", ".exr", ".fits", ".flif", ".hdp", ".hdr",
    ".icns", ".ico", ".jng", ".jxl", ".jxr", ".kra", ".mng", ".ora", ".pcd", ".pct", ".pcx", ".pdn", ".pict", ".psb",
    ".psd", ".pspimage", ".qoi", ".ras", ".sgi", ".svg", ".svgz", ".tga", ".wdp", ".wmf", ".xbm", ".xcf", ".xpm",
])  # fmt: skip
"""Endings of what people take for pictures and what is not read."""


@functools.cache
def image_suffixes() -> frozenset[str]:
    """Lower-case endings of all that open_image reads but cameras' raw files; the content decides what it is."""
    heif.register()
    Image.init()
    read = {*FORMATS, "MPO", "HEIF"}  # a JPEG of several pictures is one to Pillow too
    return _OTHER_JPEGS.union(suffix for suffix, name in Image.EXTENSION.items() if name in read)


def photo_suffixes() -> frozenset[str]:
    """The same, with raw files where these can be read."""
    return image_suffixes() | raw.RAW_SUFFIXES if raw.is_available() else image_suffixes()


def unread_suffixes() -> frozenset[str]:
    """Lower-case endings of what looks like a picture and cannot be opened here: counted, and said once."""
    return (_UNREAD | raw.RAW_SUFFIXES) - photo_suffixes()


def passed_over(counts: Mapping[str, int]) -> str:
    """How many files of which endings were not even tried, and why: '12 .psd, 3 .svg (not read by clipwright)'."""
    raws = raw.RAW_SUFFIXES & counts.keys()
    said = []
    if counts.keys() - raws:
        said.append(f"{_listed(counts, counts.keys() - raws)} (not read by clipwright)")
    if raws:
        said.append(f"{_listed(counts, raws)} (cameras' raw files: pip install 'clipwright[raw]' to read them)")
    return "; ".join(said)


def _listed(counts: Mapping[str, int], suffixes: Iterable[str]) -> str:
    most_first = sorted(suffixes, key=lambda suffix: (-counts[suffix], suffix))
    return ", ".join(f"{counts[suffix]:,} {suffix}" for suffix in most_first)
