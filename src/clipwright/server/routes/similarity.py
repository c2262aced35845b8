"""POST /v1/similarity: how near pictures are to texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from clipwright.server.answers import FaultAnswer, picture_answers
from clipwright.server.models.model_facts import ModelFacts
from clipwright.server.rejection import ItemFault
from clipwright.server.requests.pictures import embed_pictures
from clipwright.server.requests.request_body import PicturesRequest, TextList, described, read_body
from clipwright.server.requests.texts import check_count, check_texts
from clipwright.server.services import Deadline, ServicesOf
from clipwright.tasks.zero_shot import similarity_matrix

router = APIRouter()


class SimilarityRequest(PicturesRequest):
    """Pictures and texts."""

    texts: TextList


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
    openapi_extra=described(SimilarityRequest),
    tags=["models"],
)
async def similarity(request: Request, services: ServicesOf, deadline: Deadline) -> Response:
    """The cosine of each picture with each text."""
    limits = services.settings.limits
    asked = await read_body(request, SimilarityRequest, limits)
    check_count(len(asked.texts), limits.texts, "texts")
    check_texts(asked.texts, limits, "texts")

    async def embed(facts: ModelFacts) -> tuple[str, np.ndarray, list[np.ndarray | ItemFault]]:
        pictures = await embed_pictures(services, facts, asked.images, deadline, "images", partial=asked.partial)
        read = await services.models.embed_texts(facts.name, asked.texts, deadline, remembered=True)
        return facts.name, read.vectors, pictures

    model, texts, pictures = await services.models.consistently(asked.model, embed)

    def similarities(vectors: np.ndarray) -> Iterator[list[dict[str, Any]]]:
        for row in similarity_matrix(vectors, texts).tolist():
            yield [{"text": text, "similarity": cosine} for text, cosine in zip(asked.texts, row, strict=True)]

    return await picture_answers(model, pictures, "similarities", similarities, len(asked.texts))
