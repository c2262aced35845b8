"""What a server answers to a request that it does not carry out: a code, a sentence and the item it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from clipwright.errors import ClipwrightError, FailureCode

RejectionCode = (
    FailureCode
    | Literal[
        "invalid_request",
        "invalid_query",
        "token_arrays_unsupported",
        "unknown_model",
        "unknown_photo",
        "photo_changed",
        "photo_offline",
        "unknown_root",
        "unknown_job",
        "not_found",
        "method_not_allowed",
        "unsupported_media_type",
        "missing_key",
        "wrong_key",
        "wrong_host",
        "wrong_origin",
        "url_refused",
        "url_failed",
        "too_many_items",
        "text_too_long",
        "body_too_large",
        "headers_too_large",
        "request_too_slow",
        "no_index",
        "model_not_in_index",
        "index_damaged",
        "index_unusable",
        "index_busy",
        "overloaded",
        "deadline_exceeded",
        "worker_restarting",
        "model_unavailable",
        "shutting_down",
        "internal_error",
    ]
)

_LONGEST_MESSAGE = 500
"""Characters: a message may quote what a client sent, however long that is."""


@dataclass(frozen=True)
class ItemFault:
    """Why one item of a request cannot be used."""

    index: int
    """Its place among the request's items, from 0."""
    code: RejectionCode
    message: str


class RejectionError(ClipwrightError):
    """A request that is not carried out. Raised anywhere below a route; app.py makes the answer of it."""

    def __init__(
        self,
        status: int,
        code: RejectionCode,
        message: str,
        *,
        index: int | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        faults: Sequence[ItemFault] = (),
    ) -> None:
        """status: of HTTP, 4xx, or 503 with retry_after seconds. index: of the offending item. param: the offending
        field. faults: all offending items, where there are several."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.index = index
        self.param = param
        self.retry_after = retry_after
        self.faults = tuple(faults)

    @classmethod
    def of_items(cls, faults: Sequence[ItemFault], param: str | None = None) -> RejectionError:
        """The items, of the field param, that make a request fail; the first one stands for all."""
        first = faults[0]
        return cls(422, first.code, first.message, index=first.index, param=param, faults=faults)

    def record(self) -> dict[str, Any]:
        """The body of the answer: OpenAI's shape, and besides the item's index."""
        error: dict[str, Any] = {
            "code": self.code,
            "message": _shortened(str(self)),
            "type": "server_error" if self.status >= 500 else "invalid_request_error",
            "param": self.param,
            "index": self.index,
        }
        if len(self.faults) > 1:
            error["items"] = [
                {"index": fault.index, "code": fault.code, "message": _shortened(fault.message)}
                for fault in self.faults
            ]
        return {"error": error}


def _shortened(message: str) -> str:
    """The message, or its beginning and end."""
    if len(message) <= _LONGEST_MESSAGE:
        return message
    half = _LONGEST_MESSAGE // 2
    return f"{message[:half]} … {message[-half:]}"
