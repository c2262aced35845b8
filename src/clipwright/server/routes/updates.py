"""/v1/index: what the index holds, what it can be narrowed down by, and the jobs that bring it up to date."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

import pydantic_core
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from clipwright.index.facets import Facets
from clipwright.server.answers import json_answer
from clipwright.server.library.photo_library import FileFault
from clipwright.server.library.search_request import MOST_FOUND
from clipwright.server.library.searched_model import searched_model
from clipwright.server.library.update_jobs import Job, JobState
from clipwright.server.rejection import RejectionError
from clipwright.server.requests.request_body import RequestModel, described, read_body
from clipwright.server.services import Deadline, ServicesOf

router = APIRouter(tags=["index"])
_MOST_ROOTS = 1_000


class JobFaultRecord(BaseModel):
    code: str
    message: str


class JobRecord(BaseModel):
    """An update of the index."""

    id: str
    state: JobState
    roots: list[str]
    """Names of the folders that it looks at."""
    done: int
    """Files that were read."""
    total: int | None
    """Files that are to be read; null until the folders were looked through."""
    counts: dict[str, int] | None
    """What it did, in files, once it is done."""
    failed: int
    """Files and folders that it could not use."""
    error: JobFaultRecord | None
    started: str
    ended: str | None


class RootRecord(BaseModel):
    """A folder of the index, or one that an update may add to it."""

    name: str
    photographs: int
    offline: bool


class IndexRecord(BaseModel):
    """What the index holds."""

    photographs: int
    offline: int
    searchable: bool
    reason: str | None
    """Why it is not searchable."""
    model: str | None
    """That queries are embedded with."""
    roots: list[RootRecord]
    failures: dict[str, int]
    """Files and folders that could not be used, by code."""
    job: JobRecord | None
    """The update that runs, or else the last one."""


class JobList(BaseModel):
    object: Literal["list"]
    data: list[JobRecord]


class FailureList(BaseModel):
    object: Literal["list"]
    data: list[FileFault]


class UpdateRequest(RequestModel):
    """Which folders are to be brought up to date."""

    roots: list[Annotated[str, Field(max_length=1_000)]] | None = Field(None, max_length=_MOST_ROOTS)
    """Names of folders, as GET /v1/index gives them; all where they are left out."""


@router.get("/v1/index", response_model=IndexRecord)
async def index(services: ServicesOf, deadline: Deadline) -> Response:
    """What the index holds, and whether it can be searched."""
    state = await services.photos.state(deadline)
    model = reason = None
    try:
        model = (await searched_model(services.models, await services.photos.spaces(deadline))).name
    except RejectionError as rejection:
        reason = str(rejection)
    jobs = services.photos.jobs()
    return json_answer(
        {
            "photographs": state.photographs,
            "offline": state.offline,
            "searchable": reason is None,
            "reason": reason,
            "model": model,
            "roots": state.roots,
            "failures": state.failures,
            "job": job_record(jobs[0]) if jobs else None,
        }
    )


@router.post(
    "/v1/index",
    status_code=202,
    response_model=JobRecord,
    openapi_extra=described(UpdateRequest),
)
async def start_update(request: Request, services: ServicesOf) -> Response:
    """Begins to bring the index up to date: reads what is new, and forgets what is gone."""
    asked = await read_body(request, UpdateRequest, services.settings.limits)
    job = await services.photos.start_update(asked.roots)
    return _json(job_record(job), 202, {"Location": f"/v1/index/jobs/{job.id}"})


@router.get("/v1/index/jobs", response_model=JobList)
async def jobs(services: ServicesOf) -> Response:
    """The updates of this server, the latest first. Those that ended long ago are forgotten."""
    return json_answer({"object": "list", "data": [job_record(job) for job in services.photos.jobs()]})


@router.get("/v1/index/jobs/{job}", response_model=JobRecord)
async def job(job: str, services: ServicesOf) -> Response:
    """An update, as it stands."""
    return _json(job_record(services.photos.job(job)))


@router.delete("/v1/index/jobs/{job}", status_code=202, response_model=JobRecord)
async def cancel(job: str, services: ServicesOf) -> Response:
    """Stops an update after the photographs that it has in hand; what it did is kept."""
    return _json(job_record(services.photos.cancel(job)), 202)


@router.get("/v1/index/failures", response_model=FailureList)
async def failures(
    services: ServicesOf, deadline: Deadline, limit: Annotated[int, Query(ge=1, le=MOST_FOUND)] = 100
) -> Response:
    """Files and folders that could not be used."""
    found = await services.photos.failures(limit, deadline)
    return json_answer({"object": "list", "data": found})


@router.get("/v1/index/facets", response_model=Facets)
async def facets(services: ServicesOf, deadline: Deadline) -> Response:
    """What the photographs can be narrowed down by: cameras, years, places."""
    return json_answer(await services.photos.facets(deadline))


def job_record(job: Job) -> dict[str, object]:
    return {
        "id": job.id,
        "state": job.state,
        "roots": job.roots,
        "done": job.done,
        "total": job.total,
        "counts": job.counts,
        "failed": job.failed,
        "error": job.error,
        "started": _moment(job.started),
        "ended": None if job.ended is None else _moment(job.ended),
    }


def _moment(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _json(record: dict[str, object], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(pydantic_core.to_json(record), status, headers, media_type="application/json")
