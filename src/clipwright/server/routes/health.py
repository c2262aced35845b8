"""GET /healthz, /readyz and /metrics: for what watches over a server."""

from __future__ import annotations

import asyncio
from typing import Literal

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from clipwright.server.rejection import RejectionError
from clipwright.server.services import ServicesOf

router = APIRouter(tags=["health"])
_READY_SECONDS = 5.0


class Health(BaseModel):
    """The process is alive."""

    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """The server does what it is there for."""

    status: Literal["ready"] = "ready"


@router.get("/healthz", summary="Whether the process is alive")
async def health() -> Health:
    return Health()


@router.get("/readyz", summary="Whether a text was embedded just now")
async def readiness(services: ServicesOf) -> Readiness:
    """503 where the model does not answer within seconds, and once the server is asked to stop."""
    if services.draining.is_set():
        raise RejectionError(503, "shutting_down", "the server is stopping", retry_after=1)
    await services.models.check(asyncio.get_running_loop().time() + _READY_SECONDS)
    return Readiness()


@router.get(
    "/metrics",
    summary="Counters for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(services: ServicesOf) -> Response:
    # not in a thread: what it asks belongs to the event loop
    return Response(services.metrics.text(), media_type=CONTENT_TYPE_LATEST)
