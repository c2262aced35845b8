"""GET / and /page/FILE: the page to search with, as it lies in the package."""

from __future__ import annotations

import importlib.resources

from fastapi import APIRouter, Request, Response

from clipwright.server.gate.security_headers import PAGE_POLICY
from clipwright.server.rejection import RejectionError
from clipwright.server.routes.files import file_answer

router = APIRouter(include_in_schema=False)
_FOLDER = importlib.resources.files("clipwright.server") / "page"


@router.get("/")
def index(request: Request) -> Response:
    return _answer(request, "index.html")


@router.get("/page/{name}")
def page_file(request: Request, name: str) -> Response:
    return _answer(request, name)


def _answer(request: Request, name: str) -> Response:
    for file in _FOLDER.iterdir() if _FOLDER.is_dir() else ():  # whatever the name holds, it is only compared
        if file.name == name and file.is_file():
            return file_answer(request, file, PAGE_POLICY)
    raise RejectionError(404, "not_found", "the page has no such file")
