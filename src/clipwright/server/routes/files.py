"""Answers that are files of the package: the page's, the documentation's."""

from __future__ import annotations

import hashlib
import mimetypes
from importlib.resources.abc import Traversable

from fastapi import Request
from starlette.responses import Response

_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".webmanifest": "application/manifest+json"}
"""What a system's own table may have otherwise, or not at all."""


def file_answer(request: Request, file: Traversable, policy: str) -> Response:
    """A file, or 304 where the browser has it. policy: its Content-Security-Policy."""
    content = file.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Content-Security-Policy": policy}
    known = [part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")]
    if tag in known:
        return Response(status_code=304, headers=headers)
    ending = file.name[file.name.rfind(".") :]
    kind = _TYPES.get(ending) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return Response(content, headers=headers, media_type=kind)
