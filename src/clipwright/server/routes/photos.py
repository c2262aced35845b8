"""GET /v1/photos/ID: what is known of a photograph, a small picture of it and a large one."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from clipwright.errors import Failure
from clipwright.index.photo import Photo
from clipwright.index.reading import THUMBNAIL_SIDE
from clipwright.server.library.photo_records import PhotoRecord, photo_record
from clipwright.server.rejection import RejectionError
from clipwright.server.services import Deadline, Services, ServicesOf

router = APIRouter(tags=["photographs"])
_VERSIONED = "private, max-age=31536000, immutable"
"""For an address that names the content (?v=...): another content has another one."""
_UNVERSIONED = "private, no-cache"
_JPEG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {}}},
    304: {"description": "The client has it already."},
}


@router.get("/v1/photos/{photo}", response_model=PhotoRecord)
async def metadata(photo: int, services: ServicesOf, deadline: Deadline) -> Response:
    """What is known of a photograph of the index."""
    record = photo_record(await services.photos.photo(photo, deadline))
    headers = {"Cache-Control": _UNVERSIONED}
    return Response(record.model_dump_json(), media_type="application/json", headers=headers)


@router.get("/v1/photos/{photo}/thumbnail", response_class=Response, responses=_JPEG)
async def thumbnail(photo: int, request: Request, services: ServicesOf, deadline: Deadline) -> Response:
    """A photograph as a small JPEG, at most 320 pixels wide and high."""
    content, jpeg = await services.photos.content_and_thumbnail(photo, deadline)
    tag = f'"{content.hex()}"'
    if _has(request, tag):
        return _jpeg(request, tag, None)
    if jpeg is None:
        known = await services.photos.photo(photo, deadline)
        jpeg = await _rendered(services, known, THUMBNAIL_SIDE, deadline)
    return _jpeg(request, tag, jpeg)


@router.get("/v1/photos/{photo}/picture", response_class=Response, responses=_JPEG)
async def picture(
    photo: int,
    request: Request,
    services: ServicesOf,
    deadline: Deadline,
    side: Annotated[int, Query(ge=16, le=4096)] = 2048,
) -> Response:
    """A photograph as an upright JPEG, at most side pixels wide and high."""
    known = await services.photos.photo(photo, deadline)
    tag = f'"{known.content_hash.hex()}-{side}"'
    if _has(request, tag):
        return _jpeg(request, tag, None)
    return _jpeg(request, tag, await _rendered(services, known, side, deadline))


def _has(request: Request, tag: str) -> bool:
    """Whether the client has this already."""
    asked = request.headers.get("if-none-match", "")
    return asked.strip() == "*" or tag in [part.strip().removeprefix("W/") for part in asked.split(",")]


def _jpeg(request: Request, tag: str, jpeg: bytes | None) -> Response:
    """None: the client has it."""
    is_versioned = tag.startswith(f'"{request.query_params.get("v") or "none"}')
    headers = {"ETag": tag, "Cache-Control": _VERSIONED if is_versioned else _UNVERSIONED}
    return Response(jpeg, 304 if jpeg is None else 200, headers, media_type="image/jpeg")


async def _rendered(services: Services, photo: Photo, side: int, deadline: float) -> bytes:
    """The photograph's file as a JPEG. Raises RejectionError where the file is not there, or not what it was."""
    await services.photos.expect_file(photo, deadline)
    rendered = await services.models.render(photo.source, side, deadline)
    if isinstance(rendered, Failure):
        status = 404 if rendered.code == "missing" else 422
        raise RejectionError(status, rendered.code, f"the photograph {photo.id} cannot be shown: {rendered.message}")
    return rendered
