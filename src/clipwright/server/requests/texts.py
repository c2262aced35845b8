"""The texts of requests: what is refused before any model sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clipwright.server.rejection import ItemFault, RejectionError
from clipwright.server.settings import Limits


def text_faults(texts: Mapping[int, str], limits: Limits) -> list[ItemFault]:
    """Those of a request's texts, by their places in it, that cannot be used, and why."""
    faults = []
    for index, text in texts.items():
        if not text.strip():
            faults.append(ItemFault(index, "empty", "the text is empty"))
        elif len(text) > limits.text_characters:
            message = f"the text has {len(text):,} characters; the limit is {limits.text_characters:,}"
            faults.append(ItemFault(index, "text_too_long", message))
        elif "\0" in text:
            faults.append(ItemFault(index, "invalid_request", "the text holds a NUL character"))
    return faults


def check_texts(texts: Sequence[str], limits: Limits, param: str) -> None:
    """Raises RejectionError at texts that cannot be used: labels, captions, templates."""
    faults = text_faults(dict(enumerate(texts)), limits)
    if faults:
        raise RejectionError.of_items(faults, param)


def check_count(count: int, most: int, param: str) -> None:
    """Raises RejectionError where a request has more items than one may have, or none."""
    if count == 0:
        raise RejectionError(400, "invalid_request", f"{param!r} is empty; give at least one", param=param)
    if count > most:
        message = f"{param!r} has {count:,} items; the limit is {most:,} a request"
        raise RejectionError(400, "too_many_items", message, param=param)
