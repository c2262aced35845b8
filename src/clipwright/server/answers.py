"""What routes answer that say something of each picture of a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.responses import Response

from clipwright.server.rejection import ItemFault

_AT_ONCE = 1_000
"""Values that are written on the event loop, which takes a millisecond. A thread writes more."""


def json_answer(content: Any) -> Response:
    """Dictionaries, lists, dataclasses and numbers as JSON; several times as fast as FastAPI's own way."""
    return Response(to_json(content), media_type="application/json")


class FaultAnswer(BaseModel):
    """Why a picture has no answer, in its place."""

    code: str
    message: str


async def picture_answers(
    model: str,
    pictures: Sequence[np.ndarray | ItemFault],
    name: str,
    values: Callable[[np.ndarray], Iterable[Any]],
    count: int,
) -> Response:
    """{"object": "list", "model", "data": [{"index", name: ...}]}, or in a picture's place why it has none.

    values gives the answers to the vectors (B, D) of those pictures that have one, each with about count values in it.
    """

    def written() -> bytes:
        vectors = [picture for picture in pictures if not isinstance(picture, ItemFault)]
        answers = iter(values(np.stack(vectors)) if vectors else ())
        data = [
            {"index": place, "error": {"code": picture.code, "message": picture.message}}
            if isinstance(picture, ItemFault)
            else {"index": place, name: next(answers)}
            for place, picture in enumerate(pictures)
        ]
        return to_json({"object": "list", "model": model, "data": data})

    content = written() if len(pictures) * count <= _AT_ONCE else await asyncio.to_thread(written)
    return Response(content, media_type="application/json")
