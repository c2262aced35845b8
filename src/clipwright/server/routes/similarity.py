"""POST /v1/similarity: how near pictures are to texts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from clipwright.server.answers import INFERENCE, FaultAnswer, in_place, json_answer
from clipwright.server.pictures import embed_pictures
from clipwright.server.request_body import PictureList, RequestModel, TextList, described, read_body
from clipwright.server.services import ServicesOf
from clipwright.server.texts import check_count, check_texts
from clipwright.tasks.zero_shot import similarity_matrix

router = APIRouter()

_AT_ONCE = 1_000
"""Similarities that are written on the event loop, which takes a millisecond. A thread writes more."""


class SimilarityRequest(RequestModel):
    """Pictures and texts."""

    FILES: ClassVar = "images"

    images: PictureList
    texts: TextList
    model: str | None = Field(None, description="A name that /v1/models gives; the server's first model, if left out.")
    partial: bool = Field(
        False, description="Whether good pictures are answered where others cannot be used; those have an error."
    )


class Similarity(BaseModel):
    """Of one picture and one text."""

    text: str
    similarity: float = Field(description="Cosine, -1 to 1.")


class PictureSimilarities(BaseModel):
    """One picture's similarity to each text, in the request's order; or why it has none."""

    index: int
    similarities: list[Similarity] | None = None
    error: FaultAnswer | None = None


class SimilarityAnswer(BaseModel):
    """Picture by picture."""

    object: Literal["list"]
    model: str
    data: list[PictureSimilarities]


@router.post(
    "/v1/similarity",
    response_model=SimilarityAnswer,
    responses=INFERENCE,
    openapi_extra=described(SimilarityRequest),
    tags=["models"],
)
async def similarity(request: Request, services: ServicesOf) -> Response:
    """The cosine of each picture with each text."""
    limits = services.settings.limits
    asked = await read_body(request, SimilarityRequest, limits)
    deadline = services.deadline()
    check_count(len(asked.texts), limits.texts, "texts")
    check_texts(asked.texts, limits, "texts")
    facts = await services.models.facts(asked.model)
    pictures = await embed_pictures(
        services, asked.model, asked.images, deadline, param="images", partial=asked.partial
    )
    read = await services.models.embed_texts(asked.model, asked.texts, deadline, remembered=True)

    def of_rows(vectors: np.ndarray) -> Iterator[list[dict[str, Any]]]:
        for row in similarity_matrix(vectors, read.vectors).tolist():
            yield [{"text": text, "similarity": cosine} for text, cosine in zip(asked.texts, row, strict=True)]

    def answer() -> Response:
        return json_answer({"object": "list", "model": facts.name, "data": in_place(pictures, "similarities", of_rows)})

    return answer() if len(pictures) * len(asked.texts) <= _AT_ONCE else await asyncio.to_thread(answer)
