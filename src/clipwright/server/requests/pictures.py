"""The pictures of requests: data URIs, photographs of the index, addresses, files of forms; and their vectors."""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import re
from collections.abc import Iterable, Sequence

import numpy as np

from clipwright.errors import Failure
from clipwright.inputs.encoded_pictures import is_encoded
from clipwright.server.models.model_facts import ModelFacts
from clipwright.server.rejection import ItemFault, RejectionError
from clipwright.server.requests.modality import without_blanks
from clipwright.server.requests.texts import check_count
from clipwright.server.requests.together import together
from clipwright.server.requests.web_fetch import Allowance, FetchError
from clipwright.server.services import Services

_AT_ONCE = 256 * 1024
"""Letters of base64 that are decoded on the event loop, which takes less than a millisecond. A thread decodes more."""
_BLOCK = 2**20
"""Letters decoded at a time: between blocks the event loop has its turn."""
_HEAD = 200
"""Letters within which a data URI says what it is."""
_STANDARD = bytes.maketrans(b"-_", b"+/")
"""From RFC 4648's alphabet for URLs to its other one."""
_LINE_ENDS = b"\r\n"
"""MIME breaks base64 into lines."""
_INDENT = re.compile(r"[ \t]*[\r\n]+[ \t]*")
"""Line ends with blanks around them, as in YAML. A blank within a line may have been a plus sign, and is refused."""

Found = np.ndarray | bytes | ItemFault
"""A picture's vector, where the index has it; its file; or why there is neither."""


async def embed_pictures(
    services: Services,
    facts: ModelFacts,
    pictures: Sequence[str | bytes],
    deadline: float,
    param: str,
    *,
    partial: bool = False,
    places: Sequence[int] | None = None,
) -> list[np.ndarray | ItemFault]:
    """For each picture of a request its (D,) float32 unit vector, or, where partial, why it has none.

    facts: the model's. param: the field in which the pictures stand, at these places of it; else at 0, 1, ...
    Raises RejectionError where a picture cannot be used and not partial; at too many of them; and as ModelPool does.
    """
    check_count(len(pictures), services.settings.limits.pictures, param)
    pictures = [without_blanks(picture) if isinstance(picture, str) else picture for picture in pictures]
    places = range(len(pictures)) if places is None else places
    has_addresses = any(isinstance(picture, str) and _is_address(picture) for picture in pictures)
    if has_addresses and not services.settings.fetch_urls:
        raise _no_addresses(pictures, places, param)
    async with services.web.turn() if has_addresses else contextlib.nullcontext():
        found = await _find(services, facts, pictures, places, deadline)
        tell_faults(services, found, param, partial)
        files = [picture for picture in found if isinstance(picture, bytes)]
        embedded = await services.models.embed_pictures(facts.name, files, deadline) if files else []
    rest = iter(embedded)
    results = [
        _vector_or_fault(place, next(rest)) if isinstance(picture, bytes) else picture
        for place, picture in zip(places, found, strict=True)
    ]
    tell_faults(services, [new for new, old in zip(results, found, strict=True) if new is not old], param, partial)
    return results


def tell_faults(services: Services, results: Iterable[object], param: str, partial: bool) -> None:
    """Raises RejectionError where there is a fault among the results, or, if partial, only counts those."""
    faults = [result for result in results if isinstance(result, ItemFault)]
    if faults and not partial:
        raise RejectionError.of_items(faults, param)
    services.metrics.items_failed(faults)


def _no_addresses(pictures: Sequence[str | bytes], places: Sequence[int], param: str) -> RejectionError:
    first = next(
        place for place, item in zip(places, pictures, strict=True) if isinstance(item, str) and _is_address(item)
    )
    message = "this server fetches no pictures from addresses; send the picture itself, as a data URI or in a form"
    return RejectionError(403, "url_refused", message, param=param, index=first)


def _vector_or_fault(place: int, result: np.ndarray | Failure) -> np.ndarray | ItemFault:
    return ItemFault(place, result.code, result.message) if isinstance(result, Failure) else result


# Where a picture is


async def _find(
    services: Services, facts: ModelFacts, pictures: Sequence[str | bytes], places: Sequence[int], deadline: float
) -> list[Found]:
    most = services.settings.limits.picture_bytes
    allowance = Allowance(services.settings.limits.body_bytes)
    at_once = sum(len(picture) for picture in pictures if isinstance(picture, str)) <= _AT_ONCE

    async def elsewhere(place: int, picture: str) -> Found:
        if _is_data(picture):
            return await asyncio.to_thread(_data, picture, place, most)
        if picture[:6].lower() == "photo:":
            return await _vector_of_photo(services, picture[6:], place, facts.space_id)
        if _is_address(picture):
            return await _fetched(services, picture, place, allowance, deadline)
        return ItemFault(place, "invalid_request", "this is no data URI, no 'photo:ID' and no address of a picture")

    found: dict[int, Found] = {}
    rest: dict[int, str] = {}
    for place, picture in zip(places, pictures, strict=True):
        if isinstance(picture, bytes):
            found[place] = picture if len(picture) <= most else _too_large(place, len(picture), most)
        elif at_once and _is_data(picture):
            found[place] = _data(picture, place, most)
        else:
            rest[place] = picture
    if rest:
        found |= zip(rest, await together(elsewhere(*item) for item in rest.items()), strict=True)
    return [found[place] for place in places]


def _is_data(picture: str) -> bool:
    return picture[:5].lower() == "data:" or is_encoded(picture)


def _is_address(picture: str) -> bool:
    return picture[:8].lower().startswith(("http://", "https://"))


def _too_large(place: int, size: int, most: int) -> ItemFault:
    return ItemFault(place, "too_large", f"the picture has {size:,} bytes; the limit is {most:,}")


def _data(picture: str, place: int, most: int) -> bytes | ItemFault:
    """What a data URI or bare base64 holds; its size is known before anything is decoded."""
    start = 0
    if picture[:5].lower() == "data:":
        start = picture.find(",", 0, _HEAD) + 1
        if not "".join(picture[:start].split()).lower().endswith(";base64,"):
            return ItemFault(place, "invalid_request", "a data URI of a picture begins as in data:image/jpeg;base64,")
    end = len(picture) - picture.count("=", -2)
    letters = end - start
    if letters * 3 // 4 > most:
        letters -= picture.count("\r", start) + picture.count("\n", start)
    if letters * 3 // 4 > most:
        return _too_large(place, letters * 3 // 4, most)
    if picture.find(" ", start) >= 0 or picture.find("\t", start) >= 0:
        picture = _INDENT.sub("", picture[start:].lstrip())
        start, end = 0, len(picture) - picture.count("=", -2)
    try:
        return _decoded(picture, start, end)
    except ValueError:
        return ItemFault(place, "invalid_request", "the picture is not base64 as RFC 4648 has it")


def _decoded(picture: str, start: int, end: int) -> bytes:
    """What base64 between two places says; only padding, or none, comes after. Raises ValueError where it is none."""
    blocks, rest, count = [], b"", 0
    for begin in range(start, end, _BLOCK):
        letters = picture[begin : min(begin + _BLOCK, end)].encode("ascii").translate(_STANDARD, _LINE_ENDS)
        count += len(letters)
        letters = rest + letters
        whole = len(letters) // 4 * 4
        if b"=" in letters:
            raise ValueError("padding before the end")
        blocks.append(binascii.a2b_base64(letters[:whole], strict_mode=True))
        rest = letters[whole:]
    if end < len(picture) and (count + len(picture) - end) % 4:
        raise ValueError("padding that does not fit")
    blocks.append(binascii.a2b_base64(rest + b"=" * (-len(rest) % 4), strict_mode=True))
    return b"".join(blocks)


async def _vector_of_photo(services: Services, number: str, place: int, space_id: str) -> np.ndarray | ItemFault:
    if not (number.isascii() and number.isdecimal() and len(number) <= 18):
        return ItemFault(place, "unknown_photo", "a photograph is named by its number, as in photo:17")
    try:
        return await services.photos.vector(int(number), space_id)
    except RejectionError as rejection:
        if rejection.status >= 500 or rejection.status == 429:
            raise
        return ItemFault(place, rejection.code, str(rejection))


async def _fetched(
    services: Services, address: str, place: int, allowance: Allowance, deadline: float
) -> bytes | ItemFault:
    try:
        async with asyncio.timeout_at(deadline):
            return await services.web.fetch(address, allowance)
    except FetchError as error:
        return ItemFault(place, error.code, str(error))
    except TimeoutError:
        return ItemFault(place, "url_failed", "it did not answer before the request's own deadline")
