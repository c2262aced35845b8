"""GET /docs: the API's description to read and to try, with no file from another host."""

from __future__ import annotations

import importlib.resources

from fastapi import APIRouter, Request, Response

from clipwright.server.gate.security_headers import PAGE_POLICY
from clipwright.server.rejection import RejectionError
from clipwright.server.routes.files import file_answer

router = APIRouter(include_in_schema=False)
_SWAGGER_UI = importlib.resources.files("fastapi_offline") / "static"
_OWN = importlib.resources.files("clipwright.server") / "documentation"
_FILES = {
    "swagger-ui.css": _SWAGGER_UI,
    "swagger-ui-bundle.js": _SWAGGER_UI,
    "documentation.css": _OWN,
    "documentation.js": _OWN,
}


@router.get("/docs")
def documentation(request: Request) -> Response:
    return file_answer(request, _OWN / "documentation.html", PAGE_POLICY)


@router.get("/docs/{name}")
def documentation_file(request: Request, name: str) -> Response:
    if name not in _FILES:
        raise RejectionError(404, "not_found", "the documentation has no such file")
    return file_answer(request, _FILES[name] / name, PAGE_POLICY)
