"""Removing a folder from an index on purpose."""

from __future__ import annotations

import os
from pathlib import Path

from clipwright.errors import IndexFileError
from clipwright.index import changes
from clipwright.index.roots import after, is_at_or_below, prefix_of
from clipwright.index.store import DISPLACED, Store


def forget_folder(store: Store, folder: Path) -> int:
    """How many photographs were removed: all at or below a folder, with its failures. Roots there are roots no longer.

    Raises IndexFileError where the index knows nothing of the folder.
    """
    path = os.fsencode(os.path.abspath(folder))
    low = prefix_of(path)
    store.migrate()
    with store.writing() as change:
        roots = [root.id for root in store.roots() if is_at_or_below(root.path, path)]
        photos = [
            photo
            for (photo,) in change.connection.execute(
                "SELECT id FROM photos WHERE path = ? OR (path >= ? AND path < ?)", (path, low, after(low))
            )
        ]
        changes.remove_photos(change, photos)
        cursor = change.connection.execute(
            "DELETE FROM failures WHERE path = ? OR (path >= ? AND path < ?)", (path, low, after(low))
        )
        if not (roots or photos or cursor.rowcount):
            raise IndexFileError(
                f"the index {store.path} knows nothing of {os.fsdecode(path)}; 'clipwright info' lists its folders"
            )
        for root in roots:
            displaced = change.connection.execute(
                "SELECT id FROM photos WHERE root = ? AND path < ?", (root, DISPLACED + b"\xff")
            ).fetchall()
            changes.remove_photos(change, [photo for (photo,) in displaced])
            change.connection.execute("DELETE FROM failures WHERE root = ?", (root,))
            change.connection.execute("DELETE FROM roots WHERE id = ?", (root,))
    return len(photos)
