"""POST, GET and DELETE /v1/session: how a browser shows a key once, and is known by a cookie from then on."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from clipwright.server.gate.sessions import SESSION_SECONDS
from clipwright.server.services import ServicesOf

router = APIRouter(prefix="/v1/session", tags=["session"])


class SessionRequest(BaseModel):
    """What begins a session."""

    model_config = ConfigDict(extra="forbid")
    key: str = Field(max_length=200)


class SessionState(BaseModel):
    """Whether a browser may use the server."""

    required: bool
    """Whether the server has keys, so that a session or a key is needed."""
    valid: bool
    """Whether this browser has a session, or needs none."""


@router.get("", summary="Whether a session is needed, and there is one")
async def session(request: Request, services: ServicesOf) -> SessionState:
    required = services.access.is_needed
    return SessionState(required=required, valid=not required or services.access.has_session(request.headers))


@router.post("", summary="Begin a session with a key")
async def begin(asked: SessionRequest, request: Request, response: Response, services: ServicesOf) -> SessionState:
    """Sets a cookie that scripts cannot read and other sites' pages cannot use."""
    if not services.access.is_needed:
        return SessionState(required=False, valid=True)
    token = await services.access.begin_session(asked.key)
    response.set_cookie(
        services.access.cookie,
        token,
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure=_came_encrypted(request),
    )
    return SessionState(required=True, valid=True)


@router.delete("", status_code=204, summary="End the session")
async def end(request: Request, services: ServicesOf) -> Response:
    services.access.end_session(request.headers)
    response = Response(status_code=204)
    response.delete_cookie(services.access.cookie, httponly=True, samesite="strict", secure=_came_encrypted(request))
    return response


def _came_encrypted(request: Request) -> bool:
    """Whether the browser speaks HTTPS, to a proxy before this server; who lies here harms the own cookie only."""
    return request.headers.get("x-forwarded-proto", request.url.scheme) == "https"
