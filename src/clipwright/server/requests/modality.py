"""Whether a string of a request is a text or a picture. Every route that takes both asks here."""

from __future__ import annotations

import re
from typing import Literal

from clipwright.inputs.encoded_pictures import is_base64_picture, is_data_uri, may_be_base64
from clipwright.inputs.image_names import photo_suffixes

Modality = Literal["text", "image"]

EITHER = (
    'this could be a text or a picture: with "modality": "text" its letters are embedded, with "modality": "image" the'
    " picture is; beside texts, send a picture as a data URI or as photo:ID"
)
"""What is said of a string that modality_of does not know."""
_HEAD = 256
_PHOTO = re.compile(r"photo:\d+", re.IGNORECASE)
_REFERENCE = re.compile(
    r"photo\s*:\s*[+-]?\d+"
    r"|(?:upload|file):[!-~]+"
    r"|[a-z][a-z0-9+.:-]*://\S+"  # an address
    r"|\S*/v1/photos/\d+/\S*"  # as this server gives them, without its name
    r"|[^\s,]*base64,\s*[A-Za-z0-9+/_-]{8}\S*",  # a data URI without its beginning
    re.IGNORECASE,
)
_PLACE = re.compile(r"\.{0,2}[/\\]|~[/\\]|[a-z]:[/\\]|[a-z]+://", re.IGNORECASE)
_QUOTES = re.compile(r"b?['\"`<]+(.*?)['\"`>]+", re.IGNORECASE | re.DOTALL)


def modality_of(item: str) -> Modality | None:
    """What a string is where the request does not say; None where it could be either."""
    text = without_blanks(item)
    if is_data_uri(text) or _PHOTO.fullmatch(text) or is_base64_picture(text):
        return "image"
    end = text[-1:] if len(text) > _HEAD else ""
    quoted = _QUOTES.fullmatch(text[:_HEAD] + end)  # as in b'iVBORw0...', Python's way to write bytes
    if quoted and modality_of(quoted[1]) != "text":
        return None
    if _REFERENCE.fullmatch(text[:_HEAD]) or may_be_base64(text) or _is_file_name(text):
        return None
    return "text"


def without_blanks(item: str) -> str:
    """Without blanks, line ends and the mark of UTF-8 around it, which mean nothing where a picture is named."""
    return item.strip().strip("\ufeff").strip()


def _is_file_name(text: str) -> bool:
    if not text[-8:].lower().endswith(tuple(photo_suffixes())):
        return False
    return _PLACE.match(text) is not None or not any(map(str.isspace, text[:_HEAD]))
