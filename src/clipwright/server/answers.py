"""What routes answer: JSON, and in the description of the API the refusals that a route may give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pydantic_core
from pydantic import BaseModel
from starlette.responses import Response

from clipwright.server.rejection import ItemFault


def json_answer(content: Any) -> Response:
    """Dictionaries, lists, dataclasses and numbers as JSON; several times as fast as FastAPI's own way."""
    return Response(pydantic_core.to_json(content), media_type="application/json")


def in_place(
    pictures: Sequence[np.ndarray | ItemFault], name: str, answer: Callable[[np.ndarray], Iterable[Any]]
) -> list[dict[str, Any]]:
    """For each picture of a request its place and, as name, what answer gives for its row; or why it has none.

    answer takes the vectors (B, D) of those pictures that have one.
    """
    vectors = [picture for picture in pictures if not isinstance(picture, ItemFault)]
    answers = iter(answer(np.stack(vectors)) if vectors else ())
    return [
        {"index": place, "error": {"code": picture.code, "message": picture.message}}
        if isinstance(picture, ItemFault)
        else {"index": place, name: next(answers)}
        for place, picture in enumerate(pictures)
    ]


class ItemError(BaseModel):
    """Why one item of a request could not be used."""

    index: int
    code: str
    message: str


class FaultAnswer(BaseModel):
    """The same, where the item's answer would stand."""

    code: str
    message: str


class Refusal(BaseModel):
    """Why a request is not carried out."""

    code: str
    message: str
    type: str
    param: str | None
    index: int | None
    items: list[ItemError] | None = None


class RefusalAnswer(BaseModel):
    """The body of every answer that is a refusal."""

    error: Refusal


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route says of its refusals."""
    return {status: {"model": RefusalAnswer} for status in statuses}


INFERENCE = refusals(400, 401, 403, 404, 408, 413, 415, 421, 422, 429, 503)
"""Those of routes that read a body and ask a model."""
