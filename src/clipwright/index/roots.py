"""The folders of an index: which are its roots, and what an update of some of them looks at."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clipwright.errors import IndexFileError
from clipwright.index.changes import keep_settings
from clipwright.index.ignore import IGNORE_FILE
from clipwright.index.store import Root, Store, Transaction

_SEPARATOR = os.fsencode(os.sep)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scope:
    """What an update looks at: a root, or what lies below one folder of it."""

    root: Root
    within: bytes
    """The root's own path for all of it."""
    inner: tuple[bytes, ...]
    """Other roots below this one, each with the separator at its end: what lies there is theirs."""


def prefix_of(folder: bytes) -> bytes:
    """What the path of everything below a folder begins with."""
    return folder if folder.endswith(_SEPARATOR) else folder + _SEPARATOR


def is_at_or_below(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(prefix_of(folder))


def choose_scopes(
    store: Store, folders: Sequence[Path], excludes: Sequence[str] | None = None, thumbnails: bool | None = None
) -> list[Scope]:
    """What an update of these folders looks at; all roots where none is given. New roots are added to the index.

    A folder that a scan of a root comes to anyway belongs to that root, whichever of the two was given first. A disk
    mounted below a root, or a hidden folder there, is a root of its own, and so is one that was given before with
    settings. So no photograph is counted twice. excludes and thumbnails, where they are not None, become settings of
    these roots.
    Raises IndexFileError for a folder that neither exists nor is known, and for settings of one that is no root.
    """
    if not folders:
        if not store.roots():
            raise IndexFileError(f"the index {store.path} has no folders yet; name one")
        _keep_settings(store, [root.path for root in store.roots()], excludes, thumbnails)
        roots = store.roots()
        return [_scope(root, root.path, roots) for root in roots]
    given = [_known_as(os.fsencode(os.path.abspath(folder)), store.roots()) for folder in folders]
    for folder in given:
        is_known = _home_of(folder, store.roots()) is not None  # then it may be offline, or gone
        if not os.path.isdir(folder) and (os.path.exists(folder) or not is_known):
            what = "is no folder" if os.path.exists(folder) else "does not exist"
            raise IndexFileError(f"{os.fsdecode(folder)} {what}; an index takes folders of photographs")
    if excludes is not None or thumbnails is not None:
        _expect_roots(given, store.roots())
    for folder in given:
        if _home_of(folder, store.roots()) is None:
            with store.writing() as change:
                _add_root(change, folder, store.roots())
    _keep_settings(store, given, excludes, thumbnails)
    roots = store.roots()
    wanted: dict[bytes, Scope] = {}
    for folder in given:
        home = _home_of(folder, roots)
        assert home is not None
        for root, within in [(home, folder), *((root, root.path) for root in roots if root != home)]:
            if is_at_or_below(within, folder):
                wanted[within] = _scope(root, within, roots)
    return [scope for scope in wanted.values() if not _is_covered(scope, wanted.values())]


def _expect_roots(folders: Sequence[bytes], roots: Sequence[Root]) -> None:
    """Raises IndexFileError where one of these folders is part of a root, and is not to have settings of its own."""
    for folder in folders:
        home = _home_of(folder, roots)
        if home is not None and home.path not in folders:
            raise IndexFileError(
                f"{os.fsdecode(folder)} belongs to {os.fsdecode(home.path)}, which has settings as a whole; name that "
                f"folder, or write patterns into {os.fsdecode(os.path.join(folder, IGNORE_FILE))}"
            )


def _keep_settings(
    store: Store, folders: Sequence[bytes], excludes: Sequence[str] | None, thumbnails: bool | None
) -> None:
    """Keeps settings of the roots among these folders; None leaves one as it is."""
    changed = []
    for root in store.roots():
        wanted = replace(
            root,
            excludes=root.excludes if excludes is None else tuple(excludes),
            thumbnails=root.thumbnails if thumbnails is None else thumbnails,
        )
        if root.path in folders and wanted != root:
            changed.append(wanted)
            lost = [pattern for pattern in root.excludes if wanted.excludes and pattern not in wanted.excludes]
            if lost:
                logger.warning(
                    "%s: the new patterns take the place of the old ones; no longer excluded: %s",
                    os.fsdecode(root.path),
                    ", ".join(lost),
                )
    if changed:
        with store.writing() as change:
            keep_settings(change, changed)


def _is_covered(scope: Scope, others: Iterable[Scope]) -> bool:
    """Whether another one looks at all that this one does."""
    return any(
        other.root == scope.root and other.within != scope.within and is_at_or_below(scope.within, other.within)
        for other in others
    )


def _scope(root: Root, within: bytes, roots: Sequence[Root]) -> Scope:
    inner = [prefix_of(other.path) for other in roots if other != root and is_at_or_below(other.path, root.path)]
    return Scope(root, within, tuple(inner))


def _known_as(folder: bytes, roots: Sequence[Root]) -> bytes:
    """A folder by the name under which a root knows it, where it was given by another: through a link."""
    if _home_of(folder, roots) is None:
        real = os.path.realpath(folder)
        for root in roots:
            other = os.path.realpath(root.path)
            if is_at_or_below(real, other):
                return os.path.normpath(prefix_of(root.path) + real[len(other) :].lstrip(_SEPARATOR))
    return folder


def _home_of(folder: bytes, roots: Sequence[Root]) -> Root | None:
    """The root that a folder belongs to: itself, or the innermost one whose scan comes to it."""
    around = [root for root in roots if is_at_or_below(folder, root.path)]
    home = max(around, key=lambda root: len(root.path), default=None)
    return home if home and (home.path == folder or _is_reached(folder, home.path)) else None


def _is_reached(folder: bytes, root: bytes) -> bool:
    """Whether a folder below a root is an ordinary part of it: not hidden, not on a disk that may be unplugged."""
    while folder != root:
        if os.path.basename(folder).startswith(b".") or os.path.ismount(folder):
            return False
        folder = os.path.dirname(folder)
    return True


def _add_root(change: Transaction, folder: bytes, roots: Sequence[Root]) -> None:
    """Makes a folder a root: what other roots had below it becomes its own, and roots that it reaches become part."""
    (new,) = change.connection.execute("INSERT INTO roots (path) VALUES (?) RETURNING id", (folder,)).fetchone()
    for root in roots:
        if is_at_or_below(folder, root.path):
            low = prefix_of(folder)
            for table in ("photos", "failures"):
                change.connection.execute(
                    f"UPDATE {table} SET root = ? WHERE root = ? AND path >= ? AND path < ?",
                    (new, root.id, low, after(low)),
                )
        elif _becomes_part(root, folder):
            for table in ("photos", "failures"):
                change.connection.execute(f"UPDATE {table} SET root = ? WHERE root = ?", (new, root.id))
            change.connection.execute("DELETE FROM roots WHERE id = ?", (root.id,))


def _becomes_part(root: Root, folder: bytes) -> bool:
    """Whether a scan of a new root comes to an old one, which has no settings that would be lost."""
    is_reached = is_at_or_below(root.path, folder) and _is_there(root) and _is_reached(root.path, folder)
    return is_reached and not root.excludes and root.thumbnails


def after(prefix: bytes) -> bytes:
    """The first path that sorts after all that begin with a folder's prefix."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


def _is_there(root: Root) -> bool:
    return not root.offline and is_occupied(root.path)


def is_occupied(folder: bytes) -> bool:
    """Whether a folder can be listed and has anything in it: an unplugged disk leaves none, or an empty one."""
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except OSError:
        return False
