"""Answers that are files of the package: the page's, the documentation's."""

from __future__ import annotations

import functools
import gzip
import hashlib
import mimetypes
from importlib.resources.abc import Traversable

from fastapi import Request
from starlette.responses import Response

_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".webmanifest": "application/manifest+json"}
"""What a system's own table may have otherwise, or not at all."""


def file_answer(request: Request, file: Traversable, policy: str) -> Response:
    """A file, or 304 where the browser has it. policy: its Content-Security-Policy."""
    content, packed = file.read_bytes(), _takes_gzip(request)
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}{"-gzip" * packed}"'
    headers = {
        "ETag": tag,
        "Cache-Control": "no-cache",
        "Vary": "Accept-Encoding",
        "Content-Security-Policy": policy,
    }
    known = [part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")]
    if tag in known:
        return Response(status_code=304, headers=headers)
    ending = file.name[file.name.rfind(".") :]
    kind = _TYPES.get(ending) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    if packed:
        return Response(_packed(content), headers={**headers, "Content-Encoding": "gzip"}, media_type=kind)
    return Response(content, headers=headers, media_type=kind)


def _takes_gzip(request: Request) -> bool:
    return "gzip" in [wish.strip() for wish in request.headers.get("accept-encoding", "").split(",")]


@functools.lru_cache(64)
def _packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)
