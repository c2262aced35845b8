"""POST /v1/classify: which of some labels fit pictures."""

from __future__ import annotations

from typing import Annotated, Literal

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
from clipwright.tasks.classifier import Classifier, LabelTexts

router = APIRouter()


class ClassifyRequest(PicturesRequest):
    """Pictures and labels."""

    labels: TextList
    templates: TextList | None = Field(
        None, description="Sentences around a label, each with {} where it stands; 'a photo of a {}.' if left out."
    )
    unknown: bool = Field(False, description="Whether 'none of these' may be the answer.")
    top: Annotated[int, Field(ge=1)] | None = Field(None, description="How many labels to give of each picture.")


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
    openapi_extra=described(ClassifyRequest),
    tags=["models"],
)
async def classify(request: Request, services: ServicesOf, deadline: Deadline) -> Response:
    """How well each label fits each picture."""
    limits = services.settings.limits
    asked = await read_body(request, ClassifyRequest, limits)
    check_count(len(asked.labels), limits.labels, "labels")
    check_texts(asked.labels, limits, "labels")
    if asked.templates is not None:
        check_count(len(asked.templates), limits.texts // len(asked.labels), "templates")
        check_texts(asked.templates, limits, "templates")
    texts = LabelTexts.of(asked.labels, asked.templates, unknown=asked.unknown)

    async def embed(facts: ModelFacts) -> tuple[str, Classifier, list[np.ndarray | ItemFault]]:
        pictures = await embed_pictures(services, facts, asked.images, deadline, "images", partial=asked.partial)
        read = await services.models.embed_texts(facts.name, texts.texts, deadline, remembered=True)
        return facts.name, texts.classifier(read.vectors, facts.scale, facts.bias), pictures

    model, classifier, pictures = await services.models.consistently(asked.model, embed)
    return await picture_answers(
        model, pictures, "labels", lambda vectors: classifier.scores(vectors, asked.top), len(classifier.names)
    )
