"""What a scan finds, against what the index knows: which files are to be read, and which photographs are not there."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from clipwright.errors import Failure
from clipwright.index.roots import Scope, is_at_or_below, is_occupied, prefix_of
from clipwright.index.scan import FoundFile, PassedOver, scan
from clipwright.index.store import DISPLACED, KnownFiles, Store


@dataclass
class Comparison:
    """A root, or a folder of one, as it is now."""

    scope: Scope
    offline: bool = False
    """Whether it is missing, cannot be listed, or has no photograph although it had some: all it held stays."""
    found: int = 0
    """Files that may be pictures, and what cannot be looked at."""
    pending: list[FoundFile] = field(default_factory=list)
    """To be read: new, changed, or without a vector in the space that is asked for."""
    passed_over: Counter[str] = field(default_factory=Counter)
    """Endings of files that look like pictures and cannot be opened here. Photographs that they were before stay."""
    failing: int = 0
    """Files that could not be used when they were as they are now: not tried again."""
    obstacles: list[Failure] = field(default_factory=list)
    """Folders that cannot be read, and what cannot be looked at, unless that was known. What they held stays."""
    absent: list[int] = field(default_factory=list)
    """Ids of photographs that are not where they were."""
    past_failures: list[bytes] = field(default_factory=list)
    """Paths of kept failures of which nothing is found any more."""


def compare(store: Store, scope: Scope, space: int) -> Comparison:
    """Scans a scope and says what differs from the index; space is the row of the space that is asked for.

    The files that are as they were are let go as they are found: memory is needed for what is known and what is new.
    """
    known, failing = store.known_files(scope.root.id, space), store.known_failures(scope.root.id)
    result = Comparison(scope)
    seen = bytearray(len(known.ids))
    met: set[bytes] = set()
    try:
        found_any = _go_through(result, known, failing, seen, met)
    except OSError as error:
        found_any = False
        message = f"may not be read: {error.strerror or error}"
        result.obstacles.append(Failure(Path(os.fsdecode(scope.root.path)), "unreadable", message))
    if not found_any and _ordinary(known):
        return Comparison(scope, offline=True)
    blocked = {os.fsencode(failure.source) for failure in result.obstacles}
    held: dict[bytes, bool] = {}
    inside = (prefix_of(scope.within), DISPLACED)
    for path, row in known.rows.items():
        if not seen[row] and path.startswith(inside) and not _is_held(path, blocked, held, scope.root.path):
            result.absent.append(known.ids[row])
    for path in failing:
        found_again = path in met or not is_at_or_below(path, scope.within)
        if not found_again and not _is_held(path, blocked, held, scope.root.path):
            result.past_failures.append(path)
    result.found += len(blocked)
    result.failing += len(blocked & failing.keys())
    result.obstacles = [failure for failure in result.obstacles if os.fsencode(failure.source) not in failing]
    return result


def is_still_there(scope: Scope) -> bool:
    """Whether a root that was just scanned has anything in it: its disk may have gone since."""
    return is_occupied(scope.root.path)


def _go_through(
    result: Comparison,
    known: KnownFiles,
    failing: dict[bytes, tuple[int, int]],
    seen: bytearray,
    met: set[bytes],
) -> bool:
    """Scans, and sorts what is found into result. met: paths that failed before. Gives whether there is any picture."""
    scope, rows, sizes, mtimes, has_vector = result.scope, known.rows, known.sizes, known.mtimes_ns, known.has_vector
    below = None if scope.within == scope.root.path else prefix_of(scope.within)
    pending, inner, found_any = result.pending, scope.inner, False
    for file in scan(scope.root.path, scope.root.excludes):
        if isinstance(file, Failure):
            if is_at_or_below(os.fsencode(file.source), scope.within):
                result.obstacles.append(file)
            continue
        path = file.path
        if inner and path.startswith(inner):
            continue
        row = rows.get(path)
        found_any |= row is not None or isinstance(file, FoundFile)
        if below and not path.startswith(below):
            continue
        if row is not None:
            seen[row] = 1
        if isinstance(file, PassedOver):
            result.passed_over[file.suffix] += 1
            result.found += row is not None
            continue
        result.found += 1
        if row is not None and has_vector[row] and sizes[row] == file.size and mtimes[row] == file.mtime_ns:
            continue
        if failing and path in failing:
            met.add(path)
            if failing[path] == (file.size, file.mtime_ns):
                result.failing += 1
                continue
        pending.append(file)
    if not found_any and scope.root.excludes:  # perhaps they leave out all that there is
        files = (file for file in scan(scope.root.path) if isinstance(file, FoundFile))
        return any(not inner or not file.path.startswith(inner) for file in files)
    return found_any


def _ordinary(known: KnownFiles) -> bool:
    """Whether photographs are known that have a place."""
    return any(not path.startswith(DISPLACED) for path in known.rows)


def _is_held(path: bytes, blocked: set[bytes], held: dict[bytes, bool], root: bytes) -> bool:
    """Whether a photograph was not found because something on the way to it could not be read.

    held remembers the answers for folders.
    """
    if path.startswith(DISPLACED):
        return False
    if path in blocked:
        return True
    folder = os.path.dirname(path)
    if folder not in held:
        beyond = len(folder) > len(root)
        leads_nowhere = os.path.islink(folder) and not os.path.exists(folder)  # to an unplugged disk, say
        held[folder] = leads_nowhere or folder in blocked or (beyond and _is_held(folder, blocked, held, root))
    return held[folder]
