"""How the first picture of a TIFF lies in its file, and a refusal by name of what cannot be read right (TIFF 6.0)."""

from __future__ import annotations

from dataclasses import dataclass

from clipwright.errors import ImageError
from clipwright.inputs.tiff_tags import Directory

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, CIELAB, ICCLAB = 0, 1, 2, 3, 5, 6, 8, 9
"""Photometric interpretations."""
_COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3, CIELAB: 3, ICCLAB: 3}
"""By photometric interpretation: how many channels are colours."""
_KINDS = {1: "u", 2: "i", 3: "f", 4: "u", 5: "c", 6: "c"}
"""By sample format, as NumPy names them; 4 is said to be undefined, and read as unsigned integers."""
_WORDS = {"u": "unsigned integers", "i": "signed integers", "f": "floats", "c": "complex numbers"}
_BITS = {"u": (*range(1, 17), 32, 64), "i": (8, 16, 32, 64), "f": (16, 32, 64)}
_PREMULTIPLIED, _ALPHA, _COREL_ALPHA = 1, 2, 999
"""What an extra channel may be, of what counts here; the last is what Corel Draw 10 writes."""

_TABLES = (258, 273, 320, 324)
"""Tags without whose numbers there is no picture: bits, strips, palette, tiles."""
UNPACKED = 1
_PREDICTED = (5, 8, 32946, 34925, 50000)
"""LZW, deflate (two numbers), LZMA and Zstandard: a predictor may stand before them."""
_BYTES = (UNPACKED, 32773, *_PREDICTED)
"""Ways to store bytes, whatever they mean: PackBits too."""
_PIXELS = (2, 3, 4, 6, 7, 32771, 32809)
"""Fax, JPEG, ThunderScan: ways to store pixels, which Pillow reads."""
_OTHERS = {
    6: "JPEG of this kind",
    7: "JPEG of this kind",
    22610: "JPEG XR",
    33003: "JPEG 2000",
    33004: "JPEG 2000",
    33005: "JPEG 2000",
    34676: "LogLuv",
    34677: "LogLuv",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "lossy JPEG",
    34933: "PNG",
    34934: "JPEG XR",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
_WITH_PILLOW = {(RGB, 3, 8), (RGB, 3, 16), (RGB, 4, 8), (CMYK, 4, 8), (YCBCR, 3, 8), (CIELAB, 3, 8)}
"""Colours, channels and bits."""


@dataclass(frozen=True)
class Layout:
    """Of samples in strips or tiles ('parts'), their channels side by side or each by itself."""

    width: int
    height: int
    channels: int
    bits: int
    """Of each sample; 0 where they differ."""
    kind: str
    """Of number, as NumPy names it (u, i, f or c); none where they differ."""
    photometric: int
    colours: int
    """The first channels; 0 where it is not known what they mean."""
    alpha: int | None
    """The channel that is alpha."""
    premultiplied: bool
    """Whether the colours are multiplied by alpha."""
    subsampled: bool
    """Whether chroma has fewer samples."""
    compression: int
    predictor: int
    reversed_bits: bool
    """Whether a byte's first bit is its lowest."""
    apart: bool
    """Whether each channel lies by itself."""
    tiled: bool
    part_width: int
    part_height: int

    @property
    def across(self) -> int:
        """Parts beside each other."""
        return -(-self.width // self.part_width)

    @property
    def down(self) -> int:
        return -(-self.height // self.part_height)

    @property
    def together(self) -> int:
        """Channels in one part."""
        return 1 if self.apart else self.channels

    @property
    def row_bytes(self) -> int:
        """Of one row of a part."""
        return -(-self.part_width * self.together * self.bits // 8)


def read_layout(directory: Directory) -> Layout:
    """What a directory says. Raises ImageError where it makes no sense."""
    if any(directory.is_cut(tag) for tag in _TABLES):
        raise ImageError("truncated", "the file ends before the picture does")
    number = directory.number
    width, height, channels = number(256, 0), number(257, 0), number(277, 1)
    photometric, compression = number(262, BLACK_IS_ZERO if channels < 3 else RGB), number(259, UNPACKED)
    colours = _COLOURS.get(photometric, 0)
    extras = directory.numbers(338).tolist() or [_ALPHA] * (channels - colours == 1)
    alphas = [place for place, meaning in enumerate(extras) if meaning in (_PREMULTIPLIED, _ALPHA, _COREL_ALPHA)]
    alphas = [place for place in alphas if colours + place < channels]
    tiled = 322 in directory.tags
    part = (number(322, 0), number(323, 0)) if tiled else (width, min(number(278, height) or height, height))
    if min(part) < 1 or channels < 1:
        raise ImageError("unreadable", f"broken picture: a TIFF with parts of {part[0]} x {part[1]} pixels")
    return Layout(
        width=width,
        height=height,
        channels=channels,
        bits=_common(directory, 258, channels),
        kind=_KINDS.get(_common(directory, 339, channels), ""),
        photometric=photometric,
        colours=colours,
        alpha=colours + alphas[0] if alphas else None,
        premultiplied=bool(alphas) and extras[alphas[0]] == _PREMULTIPLIED,
        subsampled=photometric == YCBCR and any(directory.numbers(530) != 1),
        compression=compression,
        predictor=number(317, 1) if compression in _PREDICTED else 1,
        reversed_bits=number(266, 1) == 2,
        apart=number(284, 1) == 2,
        tiled=tiled,
        part_width=part[0],
        part_height=part[1],
    )


def is_for_pillow(layout: Layout) -> bool:
    """Whether Pillow reads it right: pixels that are stored as such; and channels side by side in 8 bits, or as RGB."""
    if layout.kind != "u" or layout.compression not in (*_BYTES, *_PIXELS):
        return False
    if layout.compression in _PIXELS:
        return layout.bits <= 8
    if layout.apart or layout.reversed_bits or (layout.subsampled and layout.compression == UNPACKED):
        return False
    if layout.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO):
        return layout.channels == 1 and layout.bits in (1, 2, 4, 8)
    return (layout.photometric, layout.channels, layout.bits) in _WITH_PILLOW


def refusal(layout: Layout) -> str | None:
    """What it is about the picture that cannot be read right; None where nothing is."""
    bits, kind, channels = layout.bits, layout.kind, layout.channels
    codec = _OTHERS.get(layout.compression, f"number {layout.compression}")
    is_mapped = layout.photometric in (PALETTE, YCBCR, CIELAB, ICCLAB)
    fits_map = kind == "u" and (bits in (8, 16) or (bits < 16 and layout.photometric == PALETTE))
    reasons = (
        (layout.compression not in _BYTES, f"compressed as {codec}"),
        (not bits or not kind, "whose channels differ in bits or kind of number"),
        (bits not in _BITS.get(kind, ()), f"of {bits}-bit {_WORDS.get(kind)}"),
        (not layout.colours, f"of photometric interpretation {layout.photometric}"),
        (channels < layout.colours, f"of {channels} channels, too few for its colours"),
        (layout.colours == 1 and channels > 2 and layout.alpha is None, f"of {channels} channels that are no colours"),
        (is_mapped and not fits_map, f"of {bits}-bit {_WORDS.get(kind)} as Lab, YCbCr or numbers in a palette"),
        (layout.subsampled, "whose colours are subsampled"),
        (not _is_predictable(layout), f"with predictor {layout.predictor}"),
    )
    return next((reason for applies, reason in reasons if applies), None)


def _is_predictable(layout: Layout) -> bool:
    if layout.predictor == 2:
        return layout.bits in (8, 16, 32, 64)
    return layout.predictor == 1 or (layout.predictor == 3 and layout.kind == "f")


def _common(directory: Directory, tag: int, channels: int) -> int:
    """The number that a tag has for all channels, 1 where it has none; 0 where they differ."""
    found = set(directory.numbers(tag)[:channels].tolist() or [1])
    return int(found.pop()) if len(found) == 1 else 0
