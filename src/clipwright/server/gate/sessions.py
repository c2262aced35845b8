"""Sessions: what a browser has in place of a key, so that no script of the page ever holds one."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict

from clipwright.server.gate.keys import hash_of

SESSION_SECONDS = 7 * 86_400
_MOST = 1_000


class Sessions:
    """Those of a server, in memory; the oldest goes where there are too many."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, tuple[str, float]] = OrderedDict()
        """By the hash of its token: the hash of the key it was begun with, and when it ends."""

    def begin(self, key_hash: str) -> str:
        """The token of a new one."""
        token = secrets.token_urlsafe(32)
        while len(self._sessions) >= _MOST:
            self._sessions.popitem(last=False)
        self._sessions[hash_of(token)] = (key_hash, time.monotonic() + SESSION_SECONDS)
        return token

    def key_hash(self, token: str) -> str | None:
        """The hash of the key that a session was begun with; None where there is no such session any more."""
        found = self._sessions.get(hash_of(token))
        if found is None or found[1] < time.monotonic():
            self.end(token)
            return None
        return found[0]

    def end(self, token: str) -> None:
        self._sessions.pop(hash_of(token), None)
