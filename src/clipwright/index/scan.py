"""From a folder to the pictures in it: what the file system says of each, before anything is opened."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from clipwright.errors import Failure
from clipwright.index.ignore import IGNORE_FILE, Rules, is_ignored, rules_in, rules_of
from clipwright.inputs import raw
from clipwright.inputs.image_names import photo_suffixes, unread_suffixes

_RAW = frozenset(os.fsencode(suffix) for suffix in raw.RAW_SUFFIXES)

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


class FoundFile(NamedTuple):
    """A file that may be a picture, as the file system told of it. A tuple, as many are made."""

    path: bytes
    """Absolute, in the file system's own bytes."""
    size: int
    mtime_ns: int
    """As file_time gives it."""


class PassedOver(NamedTuple):
    """A file that looks like a picture and cannot be opened here."""

    path: bytes
    suffix: str
    """Lower-case."""


def file_time(about: os.stat_result) -> int:
    """When a file was changed, in nanoseconds since 1970; of what lies before 1677 or after 2262, the nearest moment
    that SQLite's 64 bits hold. It is only compared: two such times may pass for one, and then the size decides."""
    return max(-(2**63), min(about.st_mtime_ns, 2**63 - 1))


def scan(root: bytes, excludes: Sequence[str] = ()) -> Iterator[FoundFile | PassedOver | Failure]:
    """Every picture below a folder, folder by folder and by name; a Failure for what should be one but cannot.

    What only looks like a picture by its name is given as PassedOver.

    Left out are hidden files and folders, other systems' metadata, what excludes or a folder's .clipwrightignore name
    (both in the syntax of gitignore), and a raw file beside its JPEG or HEIF. A link to a folder is followed, but no
    folder is gone through twice, and one that also lies below root itself is found there. Nothing is opened but
    .clipwrightignore. Raises OSError where root itself cannot be listed.
    """
    root = os.path.abspath(root)  # noqa: PTH100 - Path would lose names that are not UTF-8 to no purpose
    given = [rules_of(root, excludes)] if excludes else []
    unread = frozenset(os.fsencode(suffix) for suffix in unread_suffixes())
    suffixes = unread.union(os.fsencode(suffix) for suffix in photo_suffixes())
    seen: set[tuple[int, int]] = set()
    folders: list[tuple[bytes, list[Rules]]] = [(root, [])]
    links: deque[tuple[bytes, list[Rules]]] = deque()
    while folders or links:
        folder, chain = folders.pop() if folders else links.popleft()  # links last: what they lead to may lie below
        try:
            about = os.stat(folder)  # noqa: PTH116 - for the same reason
            if (about.st_dev, about.st_ino) in seen:
                continue
            seen.add((about.st_dev, about.st_ino))
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=_name)
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
        below, pictures = _wanted(folder, entries, suffixes, chain + given)
        folders += [(entry.path, chain) for entry in reversed(below) if not entry.is_symlink()]
        links += [(entry.path, chain) for entry in below if entry.is_symlink()]
        yield from _found(pictures, unread)


Entries = list[os.DirEntry[bytes]]


def _wanted(folder: bytes, entries: Entries, suffixes: frozenset[bytes], rules: list[Rules]) -> tuple[Entries, Entries]:
    """The folders of a folder that are to be gone through, and what are pictures by their names."""
    is_library = folder.lower().endswith(_LIBRARIES)
    below, pictures = [], []
    for entry in entries:
        name = entry.name
        if name.startswith(b"."):
            continue
        if _is_folder(entry):
            lower = name.lower()
            foreign = lower in _SYSTEM_FOLDERS or lower.endswith(_PREVIEWS) or (is_library and lower not in _ORIGINALS)
            if not foreign and not (rules and is_ignored(entry.path, rules, is_folder=True)):
                below.append(entry)
        elif (
            _suffix(name) in suffixes
            and not is_library
            and not (rules and is_ignored(entry.path, rules, is_folder=False))
        ):
            pictures.append(entry)
    return below, pictures


def _found(entries: Entries, unread: frozenset[bytes]) -> Iterator[FoundFile | PassedOver | Failure]:
    """What the file system says of the pictures of one folder, without a raw file beside its JPEG."""
    has_raw = any(_suffix(entry.name) in _RAW for entry in entries)
    spare = raw.beside_their_pictures([os.fsdecode(entry.name) for entry in entries]) if has_raw else ()
    for entry in entries:
        if spare and os.fsdecode(entry.name) in spare:
            continue
        if (suffix := _suffix(entry.name)) in unread:
            yield PassedOver(entry.path, os.fsdecode(suffix))
            continue
        try:
            about = entry.stat()
        except OSError as error:
            yield _failure(entry.path, error)
            continue
        if stat.S_ISREG(about.st_mode):  # and no pipe or device
            yield FoundFile(entry.path, about.st_size, file_time(about))


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or into what may not be looked at
        return False


def _name(entry: os.DirEntry[bytes]) -> bytes:
    return entry.name


def _suffix(name: bytes) -> bytes:
    return name[name.rfind(b".") :].lower()


def _failure(path: bytes, error: OSError) -> Failure:
    source = Path(os.fsdecode(path))
    if isinstance(error, FileNotFoundError):
        return Failure(source, "missing", "no such file: a link that leads nowhere, or removed just now")
    return Failure(source, "unreadable", f"may not be read: {error.strerror or error}")
