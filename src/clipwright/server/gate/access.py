"""Who may use a server that has keys."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from clipwright.server.gate.keys import KeyRing
from clipwright.server.gate.sessions import Sessions
from clipwright.server.rejection import RejectionError

_OPEN = ("/", "/healthz", "/v1/session")
_OPEN_FOLDER = "/page/"
_WRONG_KEY_SECONDS = 0.25
"""How long a wrong key waits for its answer."""


class Access:
    """The keys of a server and the sessions that were begun with them."""

    def __init__(self, keys: KeyRing, cookie: str) -> None:
        """cookie: the name of the session's; browsers send it to all ports of a host, so each server has its own."""
        self.cookie = cookie
        self._keys = keys
        self._sessions = Sessions()

    @property
    def is_needed(self) -> bool:
        """Whether the server has keys."""
        return self._keys.is_needed

    async def begin_session(self, key: str) -> str:
        """The token of a new session. Raises RejectionError, 401, for a wrong key."""
        digest = self._keys.hash_of_valid(key)
        if digest is None:
            raise await _wrong_key()
        return self._sessions.begin(digest)

    def end_session(self, headers: Headers) -> None:
        token = self._token(headers)
        if token is not None:
            self._sessions.end(token)

    def has_session(self, headers: Headers) -> bool:
        token = self._token(headers)
        digest = self._sessions.key_hash(token) if token is not None else None
        return digest is not None and self._keys.holds(digest)

    async def check(self, headers: Headers) -> None:
        """Raises RejectionError, 401, for a request that has neither a valid key nor a session."""
        if not self.is_needed:
            return
        given = headers.getlist("authorization")
        if given:
            scheme, _, key = given[0].partition(" ")
            if len(given) > 1 or scheme.lower() != "bearer" or self._keys.hash_of_valid(key.strip()) is None:
                raise await _wrong_key()
        elif not self.has_session(headers):
            raise RejectionError(
                401, "missing_key", "this server needs a key: send 'Authorization: Bearer KEY'", param="Authorization"
            )

    def _token(self, headers: Headers) -> str | None:
        return cookie_parser(headers.get("cookie", "")).get(self.cookie)


async def _wrong_key() -> RejectionError:
    await asyncio.sleep(_WRONG_KEY_SECONDS)
    return RejectionError(401, "wrong_key", "the key is not one of this server's", param="Authorization")


def needs_key(path: str) -> bool:
    """Whether an address is for those with a key alone, on a server that has keys."""
    return not (path in _OPEN or path.startswith(_OPEN_FOLDER))


class AccessCheck:
    """ASGI middleware: lets in who may, and everybody to what needs no key."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and needs_key(scope["path"]):
            await self._access.check(Headers(scope=scope))
        await self._app(scope, receive, send)
