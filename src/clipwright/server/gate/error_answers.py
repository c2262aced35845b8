"""The answers to requests that are not carried out: always JSON, never a traceback, no path of this machine's disk."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import sqlite3
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clipwright.errors import (
    CheckpointError,
    ClipwrightError,
    DimensionError,
    ImageError,
    IndexFileError,
    LabelError,
    MissingExtraError,
    QueryError,
    TokenizerError,
    UnknownModelError,
    UnreachableError,
)
from clipwright.server.metrics import Metrics
from clipwright.server.rejection import RejectionCode, RejectionError

logger = logging.getLogger(__name__)
_RETRY_SECONDS = 5.0
_SAID_AS_IT_IS: tuple[tuple[type[ClipwrightError], RejectionCode], ...] = (
    (QueryError, "invalid_query"),
    (LabelError, "invalid_request"),
    (DimensionError, "invalid_request"),
)
"""Kinds of error whose message speaks of what the client sent only."""
_OF_THIS_MACHINE: tuple[tuple[type[ClipwrightError], int, RejectionCode, str], ...] = (
    (UnknownModelError, 404, "unknown_model", "no such model is served here"),
    (CheckpointError, 503, "model_unavailable", "the model cannot be opened; the server's log says why"),
    (TokenizerError, 503, "model_unavailable", "the model's tokenizer cannot be used; the server's log says why"),
    (MissingExtraError, 503, "model_unavailable", "a part of the server is not installed; its log says which"),
    (UnreachableError, 503, "model_unavailable", "the server cannot reach what it needs; its log says more"),
    (IndexFileError, 503, "no_index", "the index cannot be used now; the server's log says why"),
)
"""Kinds whose message may hold paths: it goes to the log, and the client gets a sentence of its own."""
_HTTP_CODES: dict[int, RejectionCode] = {
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
}


class ItemRecord(BaseModel):
    """Why one item of a request cannot be used."""

    index: int
    code: str
    message: str


class ErrorRecord(BaseModel):
    """Why a request was not carried out."""

    code: str
    """A word that stays the same from version to version."""
    message: str
    """A sentence for people."""
    type: str
    """invalid_request_error, or server_error where the same request may succeed later."""
    param: str | None
    """The field it is about."""
    index: int | None
    """The item it is about, from 0."""
    items: list[ItemRecord] | None = None
    """All items that cannot be used, where there are several."""


class ErrorAnswer(BaseModel):
    """The body of every answer that is an error."""

    error: ErrorRecord


_MEANINGS = {
    400: "The request is no proper HTTP, or not of the shape that the address takes.",
    401: "A key is missing, or it is not one of this server's.",
    403: "Another site's page asks, or an address that is not fetched.",
    404: "No such model, photograph, job or address.",
    405: "The address does not take this method.",
    408: "The request came too slowly.",
    409: "The index is being updated, or there is none, or it was made with another model.",
    410: "The photograph's file has changed since it was indexed.",
    413: "The request has more bytes than the server takes.",
    415: "The body is of a kind that is not read here, or packed.",
    421: "The server is not called by a name of its own.",
    422: "The request, or an item of it, cannot be used.",
    429: "The server has as much to do as it takes; Retry-After says when to ask again.",
    431: "The headers are too long.",
    503: "The model or the index is not there at the moment; Retry-After says when to ask again.",
}
ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": meaning} for status, meaning in _MEANINGS.items()
}
"""What FastAPI is told of every route's errors."""


def rejection_of(error: Exception) -> RejectionError:
    """What a client is told of an error; what it must not see is logged."""
    if isinstance(error, RejectionError):
        return error
    if isinstance(error, RequestValidationError):
        return _of_validation(error)
    if isinstance(error, HTTPException):
        return RejectionError(
            error.status_code, _HTTP_CODES.get(error.status_code, "invalid_request"), _sentence(error)
        )
    if isinstance(error, ClipwrightError):
        return _of_clipwright(error)
    if isinstance(error, MemoryError | sqlite3.OperationalError):  # busy, or the disk is full: not a bug of ours
        logger.error("%s: %s", type(error).__name__, error)
        return RejectionError(503, "overloaded", "the server lacks memory or disk now", retry_after=_RETRY_SECONDS)
    logger.error("a request failed", exc_info=error)
    return RejectionError(500, "internal_error", "something is wrong inside this server; its log says what")


def answer_of(rejection: RejectionError, *, close: bool = False) -> Response:
    """The answer to a request that is not carried out. close: whether the connection ends with it."""
    headers = {}
    if rejection.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(rejection.retry_after)))
    if rejection.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if rejection.status == 415 and rejection.param == "Content-Encoding":
        headers["Accept-Encoding"] = "identity"  # RFC 9110, 12.5.3
    if close:
        headers["Connection"] = "close"
    content = json.dumps(rejection.record(), ensure_ascii=False).encode("utf-8", "replace")  # half of a pair of letters
    return Response(content, rejection.status, headers, media_type="application/json")


def http_error_answers(metrics: Metrics) -> Callable[[Request, Any], Coroutine[Any, Any, Response]]:
    """The handler of what FastAPI would else answer in its own way: HTTPException and RequestValidationError."""

    async def answer(request: Request, error: Exception) -> Response:
        rejection = rejection_of(error)
        metrics.refused(rejection)
        response = answer_of(rejection)
        if isinstance(error, HTTPException):
            response.headers.update(error.headers or {})
            if error.status_code == 405:  # of several routes at one address, the first one's methods are named else
                response.headers["Allow"] = ", ".join(sorted(_methods_at(request)))
        return response

    return answer


def _methods_at(request: Request) -> set[str]:
    """What may be done at a request's address."""
    return {
        method
        for route in _routes_in(request.app.routes)
        if route.matches(request.scope)[0] is not Match.NONE
        for method in getattr(route, "methods", None) or ()
    }


def _routes_in(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    """Single routes. FastAPI keeps a router that was included, here always without a prefix, as one of them."""
    for route in routes:
        router = getattr(route, "original_router", None)
        if router is None:
            yield route
        else:
            yield from _routes_in(router.routes)


class ErrorAnswers:
    """ASGI middleware: whatever is raised inside of it becomes an answer."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        is_read = is_begun = False

        async def watched_receive() -> Message:
            nonlocal is_read
            message = await receive()
            is_read = is_read or not message.get("more_body", False)
            return message

        async def watched_send(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        try:
            await self._app(scope, watched_receive, watched_send)
        except Exception as error:
            rejection = rejection_of(error)
            self._metrics.refused(rejection)
            if not is_begun:  # else the connection is closed, so that what was sent does not look whole
                await answer_of(rejection, close=not is_read and _has_body(scope))(scope, receive, send)
        except asyncio.CancelledError:  # by the server, which has no more time to end well
            if not is_begun:
                rejection = RejectionError(
                    503, "shutting_down", "the server ended before it could answer", retry_after=_RETRY_SECONDS
                )
                self._metrics.refused(rejection)
                await answer_of(rejection, close=True)(scope, receive, send)
            raise
        return None


def _has_body(scope: Scope) -> bool:
    return any(name in (b"transfer-encoding", b"content-length") and value != b"0" for name, value in scope["headers"])


def _of_clipwright(error: ClipwrightError) -> RejectionError:
    if isinstance(error, ImageError):
        return RejectionError(422, error.code, str(error))
    for kind, code in _SAID_AS_IT_IS:
        if isinstance(error, kind):
            return RejectionError(422, code, str(error))
    logger.warning("%s", error)
    for kind, status, code, sentence in _OF_THIS_MACHINE:
        if isinstance(error, kind):
            return RejectionError(status, code, sentence, retry_after=_RETRY_SECONDS if status == 503 else None)
    return RejectionError(422, "invalid_request", "the request cannot be carried out; the server's log says why")


def _of_validation(error: RequestValidationError) -> RejectionError:
    """A sentence for the first thing that is wrong, with its place in the request."""
    problems = error.errors()
    first = problems[0]
    place = [part for part in first["loc"] if part not in ("body", "query", "path", "header", "cookie")]
    if first["type"] == "json_invalid":
        position = place[0] if place else 0
        return RejectionError(400, "invalid_request", f"the body is not JSON: at character {position}")
    fields = [part for part in place if isinstance(part, str)]
    indexes = [part for part in place if isinstance(part, int)]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    said = str(first["msg"])
    sentence = f"{where or 'the request'}: {said[:1].lower()}{said[1:]}"
    if len(problems) > 1:
        sentence += f"; and {len(problems) - 1} more"
    return RejectionError(
        422,
        "invalid_request",
        sentence,
        param=fields[0] if fields else None,
        index=indexes[0] if indexes else None,
    )


def _sentence(error: HTTPException) -> str:
    if error.status_code == 400:
        return "the body is not JSON that can be read"
    if error.status_code == 404:
        return "there is nothing at this address; /docs lists what there is"
    if error.status_code == 405:
        return "this address does not take this method; /docs says which it takes"
    return str(error.detail)
