"""POST /v1/classify: which of some labels fit pictures."""

from __future__ import annotations

import asyncio
from typing import Annotated, ClassVar, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from clipwright.errors import LabelError
from clipwright.server.answers import INFERENCE, FaultAnswer, in_place, json_answer
from clipwright.server.pictures import embed_pictures
from clipwright.server.request_body import PictureList, RequestModel, TextList, described, invalid, read_body
from clipwright.server.services import ServicesOf
from clipwright.server.texts import check_count, check_texts
from clipwright.tasks.classifier import LabelTexts

router = APIRouter()

_AT_ONCE = 1_000
"""Scores that are written on the event loop, which takes a millisecond. A thread writes more."""


class ClassifyRequest(RequestModel):
    """Pictures and labels."""

    FILES: ClassVar = "images"

    images: PictureList
    labels: TextList
    templates: TextList | None = Field(
        None, description="Sentences around a label, each with {} where it stands; 'a photo of a {}.' if left out."
    )
    unknown: bool = Field(False, description="Whether 'none of these' may be the answer.")
    top: Annotated[int, Field(ge=1)] | None = Field(None, description="How many labels to give of each picture.")
    model: str | None = Field(None, description="A name that /v1/models gives; the server's first model, if left out.")
    partial: bool = Field(
        False, description="Whether good pictures are answered where others cannot be used; those have an error."
    )


class Score(BaseModel):
    """How well one label fits."""

    label: str
    probability: float = Field(description="Among the labels asked for; with SigLIP models, of this label by itself.")
    similarity: float = Field(description="Cosine of picture and label, -1 to 1.")


class PictureLabels(BaseModel):
    """The labels of one picture, the likeliest first; or why it has none."""

    index: int
    labels: list[Score] | None = None
    error: FaultAnswer | None = None


class ClassifyAnswer(BaseModel):
    """What fits, picture by picture."""

    object: Literal["list"]
    model: str
    data: list[PictureLabels]


@router.post(
    "/v1/classify",
    response_model=ClassifyAnswer,
    responses=INFERENCE,
    openapi_extra=described(ClassifyRequest),
    tags=["models"],
)
async def classify(request: Request, services: ServicesOf) -> Response:
    """How well each label fits each picture."""
    limits = services.settings.limits
    asked = await read_body(request, ClassifyRequest, limits)
    deadline = services.deadline()
    check_count(len(asked.labels), limits.labels, "labels")
    check_texts(asked.labels, limits, "labels")
    check_texts(asked.templates or (), limits, "templates")
    check_count(len(asked.labels) * len(asked.templates or "1"), limits.texts, "templates")
    try:
        texts = LabelTexts.of(asked.labels, asked.templates, unknown=asked.unknown)
    except LabelError as error:
        raise invalid(str(error), "labels") from None
    facts = await services.models.facts(asked.model)
    pictures = await embed_pictures(
        services, asked.model, asked.images, deadline, param="images", partial=asked.partial
    )
    read = await services.models.embed_texts(asked.model, texts.texts, deadline, remembered=True)
    classifier = texts.classifier(read.vectors, facts.scale, facts.bias)

    def answer() -> Response:
        return json_answer(
            {
                "object": "list",
                "model": facts.name,
                "data": in_place(pictures, "labels", lambda vectors: classifier.scores(vectors, asked.top)),
            }
        )

    scores = len(pictures) * len(classifier.names)
    return answer() if scores <= _AT_ONCE else await asyncio.to_thread(answer)
