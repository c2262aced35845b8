"""Pictures that are written as letters: data URIs (RFC 2397) and base64 (RFC 4648), told by how they begin."""

from __future__ import annotations

import re

_HEAD = 256
"""Letters that are looked at; a picture may have millions."""
_DATA_URI = re.compile(r"data(?::|%3a)image(?:/|%2f)|data\s*:\s*[^\s,]*;\s*base64\s*,", re.IGNORECASE)
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/_-]|[ \t]*[\r\n][ \t]*)+=?=?\s*")
"""In lines, which may be indented; blanks within a line are between words."""
_BEGINNINGS = re.compile(
    r"[/_]9j[/_]"  # JPEG
    r"|iVBORw0KGgo|R0lGOD|UklGR"  # PNG, GIF, WebP
    r"|AAAA..Z0eX"  # HEIF, AVIF and other boxes called ftyp
    r"|AAAADGpQICA|SUkqA|TU0AK"  # JPEG 2000; TIFF and cameras' own files
)
"""What the first bytes of pictures are in base64."""
_FEWEST = 12
_MANY = 40
"""So many letters of base64, without a blank, are no word of any language that has capitals and digits as well."""


def is_encoded(text: str) -> bool:
    """Whether it is a picture in letters, or may be: no words, at any rate."""
    return is_data_uri(text) or is_base64_picture(text) or may_be_base64(text)


def is_data_uri(text: str) -> bool:
    """Whether it begins as the data URI of a picture; one of unnamed kind in base64 is taken for that."""
    return _DATA_URI.match(text[:_HEAD]) is not None


def is_base64_picture(text: str) -> bool:
    """Whether it is base64 of what begins as pictures do."""
    return len(text) >= _FEWEST and _BEGINNINGS.match(text) is not None and _is_base64(text)


def may_be_base64(text: str) -> bool:
    """Whether it is base64 of something, a picture perhaps, rather than words."""
    if len(text) < _MANY or not _is_base64(text):
        return False
    head = text[:_HEAD]
    return all(any(map(kind, head)) for kind in (str.isdigit, str.isupper, str.islower))


def _is_base64(text: str) -> bool:
    return _BASE64.fullmatch(text[:_HEAD]) is not None
