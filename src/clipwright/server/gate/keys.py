"""Keys to a server, in a file that holds their hashes."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
import logging
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from clipwright.atomic import replacing
from clipwright.errors import ClipwrightError
from clipwright.inputs.text_files import read_text

logger = logging.getLogger(__name__)
_PREFIX = "cw-"
_KEY_BYTES = 32
_NAME = re.compile(r"[\w.@ -]{1,64}")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Key:
    """One line of the file."""

    name: str
    sha256: str
    """Hexadecimal. A key is 256 random bits, so there is nothing to guess, and no slow hash is needed."""
    created: str


def read_keys(file: Path) -> list[Key]:
    """The keys in a file, none where there is none. Raises ClipwrightError naming the line that is wrong."""
    try:
        lines = read_text(file).split("\n")
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise ClipwrightError(f"{file}: {error}; a file of keys has one JSON object a line") from None
    keys = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
            key = Key(fields["name"], fields["sha256"], fields["created"])
            sound = all(isinstance(value, str) for value in fields.values()) and _HASH.fullmatch(key.sha256)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            sound = None
        if not sound:
            raise ClipwrightError(
                f"line {number} of {file} is no key; each is one JSON object with name, sha256 and created;"
                " 'clipwright serve --new-key' makes them"
            )
        keys.append(key)
    return keys


def make_key(file: Path, name: str) -> str:
    """A new key, which is told once: the file keeps its hash. Others in the file stay.

    Raises ClipwrightError where the name is taken or none.
    """
    if not _NAME.fullmatch(name):
        raise ClipwrightError(f"{name!r} is no name for a key; up to 64 letters, digits, spaces and .@-_ are")
    keys = read_keys(file)
    if any(key.name == name for key in keys):
        raise ClipwrightError(f"there is a key named {name!r} already; take its line out of {file} to revoke it")
    key = _PREFIX + secrets.token_urlsafe(_KEY_BYTES)
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    keys.append(Key(name, hash_of(key), created))
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file, mode=0o600) as temporary:
        lines = "".join(
            json.dumps({"name": key.name, "sha256": key.sha256, "created": key.created}) + "\n" for key in keys
        )
        with os.fdopen(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
        ) as opened:
            opened.write(lines)
    return key


def hash_of(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


class KeyRing:
    """The keys of a running server. A line that is added to the file or taken out counts from the next request on.

    Where there were keys once, one stays necessary: a file that is gone or damaged lets nobody in.
    """

    def __init__(self, file: Path | None) -> None:
        """Raises ClipwrightError where the file is damaged."""
        self._file = file
        self._seen = self._stamp()
        self._keys = read_keys(file) if file else []
        self._is_needed = bool(self._keys)

    @property
    def is_needed(self) -> bool:
        """Whether requests need a key."""
        self._refresh()
        return self._is_needed

    def hash_of_valid(self, key: str) -> str | None:
        """The hash of a key that is in the file, else None."""
        digest = hash_of(key)
        return digest if self.holds(digest) else None

    def holds(self, digest: str) -> bool:
        """Whether a key of this hash is in the file; as long for one as for another."""
        self._refresh()
        return sum(hmac.compare_digest(digest, key.sha256) for key in self._keys) > 0

    def _refresh(self) -> None:
        stamp = self._stamp()
        if self._file is None or stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._keys = read_keys(self._file)
        except (ClipwrightError, OSError) as error:
            logger.error("no key is valid until this is repaired: %s", error)
            self._keys = []
            self._is_needed = True
        self._is_needed = self._is_needed or bool(self._keys)

    def _stamp(self) -> tuple[int, int, int] | None:
        """Changes when the file does."""
        try:
            found = self._file.stat() if self._file else None
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_size, found.st_ino) if found else None
