"""From a folder to the pictures in it: what the file system says of each, before anything is opened."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clipwright.errors import Failure
from clipwright.index.ignore import IGNORE_FILE, Rules, is_ignored, rules_in, rules_of
from clipwright.inputs import raw
from clipwright.inputs.images import IMAGE_SUFFIXES

_PICTURES = frozenset(os.fsencode(suffix) for suffix in IMAGE_SUFFIXES)
_RAW = frozenset(os.fsencode(suffix) for suffix in raw.RAW_SUFFIXES)
_BESIDE_RAW = frozenset([b".jpg", b".jpeg", b".jpe", b".jfif", b".heic", b".heif"])
"""What cameras and telephones write together with a raw file: the same shot."""

_SYSTEM_FOLDERS = frozenset(
    [
        b"@eadir",  # Synology's thumbnails
        b"#recycle",
        b"#snapshot",
        b"@recycle",  # QNAP's
        b"@recently-snapshot",
        b"$recycle.bin",
        b"recycler",
        b"system volume information",
        b"__macosx",  # resource forks, as archives made on a Mac carry them
        b"lost+found",
    ]
)
"""Lower-case names of folders whose pictures are not the user's: other systems' thumbnails, waste and bookkeeping."""
_PREVIEWS = b".lrdata"
"""Lightroom's previews of what lies elsewhere."""
_LIBRARIES = (b".photoslibrary", b".photolibrary", b".migratedphotolibrary", b".aplibrary")
"""Libraries of Apple's programs: folders in which only the originals are photographs, the rest previews of them."""
_ORIGINALS = frozenset([b"originals", b"masters"])


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that may be a picture, as the file system told of it."""

    path: bytes
    """Absolute, in the file system's own bytes."""
    size: int
    mtime_ns: int


def scan(root: bytes, excludes: Sequence[str] = ()) -> Iterator[FoundFile | Failure]:
    """Every picture below a folder, folder by folder and by name; a Failure for what should be one but cannot.

    Left out are hidden files and folders, other systems' metadata, what excludes or a folder's .clipwrightignore name
    (both in the syntax of gitignore), and a raw file beside its JPEG or HEIF. A link to a folder is followed, but no
    folder is gone through twice, and one that also lies below root itself is found there. Nothing is opened but
    .clipwrightignore. Raises OSError where root itself cannot be listed.
    """
    root = os.path.abspath(root)
    seen: set[tuple[int, int]] = set()
    given = [rules_of(root, list(excludes))] if excludes else []
    folders: list[tuple[bytes, list[Rules]]] = [(root, [])]
    linked: deque[tuple[bytes, list[Rules]]] = deque()
    while folders or linked:
        folder, chain = folders.pop() if folders else linked.popleft()  # links last: what they lead to may lie below
        try:
            about = os.stat(folder)
            if (about.st_dev, about.st_ino) in seen:
                continue
            seen.add((about.st_dev, about.st_ino))
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            if folder == root:
                raise
            yield _failure(folder, error)
            continue
        if any(entry.name == IGNORE_FILE for entry in entries):
            try:
                chain = [*chain, rules_in(folder)]
            except OSError as error:
                yield _failure(os.path.join(folder, IGNORE_FILE), error)
        below: list[tuple[bytes, list[Rules]]] = []
        pictures: list[os.DirEntry[bytes]] = []
        rules = chain + given
        only = _ORIGINALS if folder.lower().endswith(_LIBRARIES) else None
        for entry in entries:
            name = entry.name
            if name.startswith(b"."):
                continue
            try:
                is_folder = entry.is_dir()
            except OSError:
                is_folder = False
            if is_folder:
                lower = name.lower()
                if lower in _SYSTEM_FOLDERS or lower.endswith(_PREVIEWS) or (only and lower not in only):
                    continue
                if not (rules and is_ignored(entry.path, rules, is_folder=True)):
                    if entry.is_symlink():
                        linked.append((entry.path, chain))
                    else:
                        below.append((entry.path, chain))
            elif only is None and _suffix(name) in _PICTURES | _RAW:
                if not (rules and is_ignored(entry.path, rules, is_folder=False)):
                    pictures.append(entry)
        folders.extend(reversed(below))
        yield from _found(pictures)


def _found(entries: list[os.DirEntry[bytes]]) -> Iterator[FoundFile | Failure]:
    """The pictures of one folder."""
    shots: set[bytes] = set()
    if any(_suffix(entry.name) in _RAW for entry in entries):
        shots = {_stem(entry.name) for entry in entries if _suffix(entry.name) in _BESIDE_RAW}
    for entry in entries:
        is_raw = _suffix(entry.name) in _RAW
        if is_raw and _stem(entry.name) in shots:
            continue
        try:
            about = entry.stat()
        except OSError as error:
            yield _failure(entry.path, error)
            continue
        if not stat.S_ISREG(about.st_mode):
            continue
        if is_raw and not raw.is_available():
            yield Failure(Path(os.fsdecode(entry.path)), "unsupported_format", raw.MISSING_EXTRA)
        else:
            yield FoundFile(entry.path, about.st_size, about.st_mtime_ns)


def _suffix(name: bytes) -> bytes:
    return os.path.splitext(name)[1].lower()


def _stem(name: bytes) -> bytes:
    return os.path.splitext(name)[0].lower()


def _failure(path: bytes, error: OSError) -> Failure:
    source = Path(os.fsdecode(path))
    if isinstance(error, FileNotFoundError):
        return Failure(source, "missing", "no such file: a link that leads nowhere, or just removed")
    return Failure(source, "unreadable", f"may not be read: {error.strerror or error}")
