"""Pictures at an address, for a person's own command or program: a server must not fetch what strangers name."""

from __future__ import annotations

from clipwright.errors import ImageError

MAX_BYTES = 64 * 2**20
_SECONDS = 30.0


def fetch_picture(url: str) -> bytes:
    """The file at an http or https address. Raises ImageError where there is none, or one beyond MAX_BYTES."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    if not url.lower().startswith(("http://", "https://")):
        raise ImageError("unreadable", "an address starts with http:// or https://")
    try:
        with urlopen(Request(url, headers={"User-Agent": "clipwright"}), timeout=_SECONDS) as answer:
            data: bytes = answer.read(MAX_BYTES + 1)
    except HTTPError as error:
        error.close()
        raise ImageError("missing", f"the server answers {error.code} {error.reason}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise ImageError("unreadable", f"it cannot be fetched: {getattr(error, 'reason', error)}") from error
    if len(data) > MAX_BYTES:
        raise ImageError("too_large", f"has more than {MAX_BYTES // 2**20} MiB")
    return data
