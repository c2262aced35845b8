"""What an opened photograph says of itself: when, with what, where. Hostile metadata say nothing; they never raise."""

from __future__ import annotations

import contextlib
import datetime
import math
import re
from collections.abc import Mapping
from typing import Any

from PIL import ExifTags, Image

from clipwright.index.photo import PhotoFacts
from clipwright.inputs.images import OpenedPhoto
from clipwright.inputs.remarks import without_warnings

_LONGEST_TEXT = 200
_EPOCH = datetime.datetime(1970, 1, 1)  # without a zone, as the camera's clock
_YEARS = range(1826, 9999)
"""From the first photograph on; 9999 is what programs write that do not know."""
_DATE = re.compile(r"(\d{4})[:/.-](\d\d)[:/.-](\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d))?)?")
_DATES = (
    (ExifTags.Base.DateTimeOriginal, ExifTags.Base.SubsecTimeOriginal),
    (ExifTags.Base.DateTimeDigitized, ExifTags.Base.SubsecTimeDigitized),
    (ExifTags.Base.DateTime, ExifTags.Base.SubsecTime),
)
"""Where EXIF says when, the best first, each with the tag of its fraction of a second."""
_FIRMS = {"ag", "camera", "cameras", "co", "company", "corp", "corporation", "electric", "electronics", "gmbh"} | {
    "imaging",
    "inc",
    "llc",
    "ltd",
    "optical",
    "techwin",
}
"""Words that a maker's name ends with and that nobody says."""


def photo_facts(photo: OpenedPhoto) -> PhotoFacts:
    """The facts of an opened picture, by its EXIF (CIPA DC-008)."""
    tags = {**_folder(photo.exif, None), **_folder(photo.exif, ExifTags.IFD.Exif)}
    place = _place(_folder(photo.exif, ExifTags.IFD.GPSInfo))
    return PhotoFacts(
        width=photo.width,
        height=photo.height,
        format=photo.format,
        orientation=photo.orientation,
        taken=_taken(tags),
        camera=_camera(_text(tags.get(ExifTags.Base.Make)), _text(tags.get(ExifTags.Base.Model))),
        lens=_lens(_text(tags.get(ExifTags.Base.LensModel))),
        latitude=place[0] if place else None,
        longitude=place[1] if place else None,
    )


def _folder(exif: Image.Exif, ifd: ExifTags.IFD | None) -> dict[int, Any]:
    """The tags of one of EXIF's directories (None: the first), as far as they can be read."""
    tags: dict[int, Any] = {}
    with contextlib.suppress(Exception), without_warnings():
        directory: Mapping[int, Any] = exif if ifd is None else exif.get_ifd(ifd)
        for tag in directory:
            with contextlib.suppress(Exception):  # a value is decoded when it is asked for
                tags[tag] = directory[tag]
    return tags


def _text(value: object) -> str | None:
    """One clean line; None where there is none."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return None
    value = value.partition("\0")[0].encode("utf-8", "replace").decode()
    line = " ".join("".join(character if character.isprintable() else " " for character in value).split())
    return line[:_LONGEST_TEXT] or None


def _taken(tags: Mapping[int, Any]) -> float | None:
    """Seconds from 1970 on the camera's clock, by the first of its dates that is one."""
    for tag, fraction in _DATES:
        found = _DATE.match(_text(tags.get(tag)) or "")
        if found is None:
            continue
        try:
            year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
            moment = datetime.datetime(year, month, day, hour, minute, second)
        except ValueError:  # 0000:00:00, or a 31st of February
            continue
        if moment.year in _YEARS:
            digits = re.match(r"\d{1,9}", _text(tags.get(fraction)) or "")
            return (moment - _EPOCH).total_seconds() + (float(f"0.{digits[0]}") if digits else 0)
    return None


def _camera(make: str | None, model: str | None) -> str | None:
    """One name, as people say it: 'Canon EOS 5D', where the tags say 'Canon' and 'Canon EOS 5D'."""
    words = (make or "").replace(",", " ").split()
    while len(words) > 1 and words[-1].lower().rstrip(".") in _FIRMS:
        words.pop()
    if model is None:
        return " ".join(words) or None
    says_maker = any(len(word) > 1 and model.lower().startswith(word.lower()) for word in words)
    return model if says_maker else " ".join([*words, model])


def _lens(model: str | None) -> str | None:
    """None too where a camera fills in what it does not know: '----', '0.0 mm f/0.0'."""
    return model if model is not None and re.search(r"[A-Za-z1-9]", model.replace("mm", "").replace("f/", "")) else None


def _place(tags: Mapping[int, Any]) -> tuple[float, float] | None:
    """Latitude and longitude in degrees, of the directory for GPS."""
    latitude = _degrees(tags.get(ExifTags.GPS.GPSLatitude), tags.get(ExifTags.GPS.GPSLatitudeRef), "N", "S", 90)
    longitude = _degrees(tags.get(ExifTags.GPS.GPSLongitude), tags.get(ExifTags.GPS.GPSLongitudeRef), "E", "W", 180)
    if latitude is None or longitude is None or latitude == longitude == 0:
        return None  # zero for both is what receivers write that do not know
    return latitude, longitude


def _degrees(value: object, reference: object, positive: str, negative: str, most: int) -> float | None:
    """Degrees, minutes and seconds as one signed number; None without the letter that says on which side of zero."""
    letter = (_text(reference) or "")[:1].upper()
    parts = value if isinstance(value, tuple) else (value,)
    if letter not in (positive, negative) or not letter or not 1 <= len(parts) <= 3:
        return None
    try:
        numbers = [float(part) for part in parts]
    except (TypeError, ValueError, ArithmeticError):
        return None
    if not all(math.isfinite(number) and number >= 0 for number in numbers):
        return None
    degrees = sum(number / 60**power for power, number in enumerate(numbers))
    return None if degrees > most else degrees if letter == positive else -degrees
