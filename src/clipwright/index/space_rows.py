"""What derived files ask of the database: the photographs of one embedding space, and what changed since a serial."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clipwright.errors import IndexFileError
from clipwright.index.store import NOT_DISPLACED

_CHANGED = """
SELECT photo FROM vectors INDEXED BY vectors_by_serial WHERE space = :space AND serial > :since
UNION SELECT id FROM photos INDEXED BY photos_by_serial WHERE serial > :since
UNION SELECT photo FROM gone INDEXED BY gone_by_serial WHERE serial > :since
"""
_ROWS = f"""
SELECT photo, vector, path, taken, camera, lens, latitude, longitude, width * height
FROM vectors JOIN photos ON photos.id = photo
WHERE space = :space AND length(vector) = 2 * :embed_dim AND {NOT_DISPLACED}
"""
Row = tuple[Any, ...]
"""Photo id, vector, and then what Columns.of takes."""


@dataclass(frozen=True)
class SpaceRows:
    """One embedding space of a database, within a transaction that reads."""

    connection: sqlite3.Connection
    id: int
    """Its row in the table spaces."""
    space_id: str
    embed_dim: int
    background: np.ndarray
    """(B, D) float16: the background captions' vectors."""
    serial: int
    """Of the last change of the database."""

    @classmethod
    def read(cls, connection: sqlite3.Connection, database: Path, space_id: str) -> SpaceRows:
        """Raises IndexFileError where the database knows no such space."""
        (serial,) = connection.execute("SELECT serial FROM counters").fetchone()
        found = connection.execute(
            "SELECT id, embed_dim, background FROM spaces WHERE space_id = ?", (space_id,)
        ).fetchone()
        if found is None:
            known = [model for (model,) in connection.execute("SELECT model FROM spaces ORDER BY id")]
            holds = f"was made with {' and '.join(known)}" if known else "holds no vectors yet"
            raise IndexFileError(
                f"the index {database} {holds}, not with this model; name one that it was made with by --model, or run "
                f"'clipwright index' with this one"
            )
        id_, embed_dim, background = found
        captions = np.frombuffer(background, "<f2").reshape(-1, embed_dim)
        return cls(connection, id_, space_id, embed_dim, captions, serial)

    def count(self) -> int:
        """Of its vectors."""
        (count,) = self.connection.execute(
            "SELECT COUNT(*) FROM vectors INDEXED BY vectors_by_serial WHERE space = ?", (self.id,)
        ).fetchone()
        return int(count)

    def changed(self, since: int) -> np.ndarray:
        """Ids of photographs that came, changed or went after a serial, in their order: (C,) int64."""
        rows = self.connection.execute(_CHANGED, {"space": self.id, "since": since})
        return np.sort(np.fromiter((photo for (photo,) in rows), np.int64))

    def rows(self, since: int | None = None) -> Iterator[Row]:
        """All photographs with a vector, or those of them that changed after a serial; by id."""
        only = "" if since is None else f"AND photo IN ({_CHANGED})"
        return self.connection.execute(
            f"{_ROWS} {only} ORDER BY photo", {"space": self.id, "embed_dim": self.embed_dim, "since": since}
        )

    def witnesses(self) -> list[list[int]]:
        """The last few vectors that were written: their photographs and checksums. Another database has others."""
        rows = self.connection.execute(
            "SELECT photo, vector FROM vectors WHERE space = ? ORDER BY serial DESC, photo DESC LIMIT 4", (self.id,)
        )
        return [[photo, zlib.crc32(vector)] for photo, vector in rows]

    def agrees(self, witnesses: list[list[int]], serial: int) -> bool:
        """Whether vectors are still those that were there at a serial, unless they changed or went since."""
        for photo, checksum in witnesses:
            found = self.connection.execute(
                "SELECT vector, serial FROM vectors WHERE space = ? AND photo = ?", (self.id, photo)
            ).fetchone()
            if found is None:
                # gone, or its file has another content that is not embedded yet
                changed = self.connection.execute(
                    "SELECT 1 FROM gone WHERE photo = :photo AND serial > :since "
                    "UNION SELECT 1 FROM photos WHERE id = :photo AND serial > :since",
                    {"photo": photo, "since": serial},
                ).fetchone()
                if changed is None:
                    return False
            elif found[1] <= serial and zlib.crc32(found[0]) != checksum:
                return False
        return True
