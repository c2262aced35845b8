"""The models that are served: OpenAI's list, and facts besides."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from clipwright.server.models.model_facts import ModelFacts
from clipwright.server.models.model_pool import ModelPool
from clipwright.server.services import ServicesOf

router = APIRouter(tags=["models"])


class ServedModelFacts(BaseModel):
    """What clients need to know before they compare anything with this model's vectors."""

    space_id: str
    variant: str
    backend: str
    embed_dim: int
    scale: float
    bias: float | None
    image_size: int
    context_length: int


class Model(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "clipwright"
    default: bool
    """Whether it answers where a request names none."""
    open: bool
    """Whether a process runs it now; else one is started when it is asked for."""
    facts: ServedModelFacts | None
    """None where it was never open."""


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


@router.get("/v1/models")
async def list_models(services: ServicesOf) -> ModelList:
    return ModelList(data=[_model(services.models, name) for name in services.models.names])


@router.get("/v1/models/{model_id:path}")
async def show_model(model_id: str, services: ServicesOf) -> Model:
    """A model; it is opened where it never was."""
    await services.models.facts(model_id)
    return _model(services.models, model_id)


@router.post("/v1/models/{model_id:path}/reload")
async def reload_model(model_id: str, services: ServicesOf) -> Model:
    """Opens a model anew, from what is on disk now. What is asked for meanwhile is answered by the old one."""
    await services.models.reload(model_id)
    return _model(services.models, model_id)


def _model(models: ModelPool, name: str) -> Model:
    known = models.known_facts(name)
    return Model(
        id=name,
        created=models.started,
        default=name == models.names[0],
        open=models.is_open(name),
        facts=None if known is None else _facts(known),
    )


def _facts(facts: ModelFacts) -> ServedModelFacts:
    return ServedModelFacts(
        space_id=facts.space_id,
        variant=facts.variant,
        backend=facts.backend,
        embed_dim=facts.embed_dim,
        scale=facts.scale,
        bias=facts.bias,
        image_size=facts.spec.image_size,
        context_length=facts.spec.context_length,
    )
