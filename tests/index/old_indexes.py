"""Indexes that earlier versions of clipwright wrote."""

from __future__ import annotations

import contextlib
import gzip
import os
import sqlite3
from pathlib import Path

from tests.index.folders import write_photos
from tests.support import DATA

DATED_NS = 1_700_000_000_000_000_000


def old_index(folder: Path) -> Path:
    """An index of version 1, in a folder that holds its three photographs too, in 'folder'."""
    photographs, database = folder / "folder", folder / "photos.db"
    write_photos(photographs, 3)
    (photographs / "broken.jpg").write_text("no picture")
    for path in photographs.iterdir():
        os.utime(path, ns=(DATED_NS, DATED_NS))
    database.write_bytes(gzip.decompress((DATA / "index-1" / "photos.db.gz").read_bytes()))
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for table in ("roots", "photos", "failures"):
            connection.execute(
                f"UPDATE {table} SET path = CAST(? || substr(path, ?) AS BLOB)",
                (os.fsencode(photographs), len("/tmp/photographs") + 1),
            )
    return database
