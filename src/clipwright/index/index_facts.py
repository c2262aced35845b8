"""What an index holds, in numbers: for those who look after it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from clipwright.index.store import NOT_DISPLACED, Store


@dataclass(frozen=True)
class RootFacts:
    """A folder that was given to the index."""

    path: Path
    photographs: int
    offline: bool
    """Whether it was missing or suddenly empty when the index last looked."""
    excludes: tuple[str, ...]
    """Patterns of what an update of it passes over."""
    thumbnails: bool
    """Whether an update keeps thumbnails of what it reads."""


@dataclass(frozen=True)
class SpaceFacts:
    """A model that photographs were embedded with."""

    space_id: str
    model: str
    embed_dim: int
    vectors: int
    variants: dict[str, int]
    """How vectors were made, and how many so."""


@dataclass(frozen=True)
class IndexFacts:
    """All of it."""

    database: Path
    photographs: int
    offline: int
    """Photographs of roots that are offline."""
    thumbnails: int
    roots: tuple[RootFacts, ...]
    spaces: tuple[SpaceFacts, ...]
    failures: dict[str, int]
    """By code."""
    bytes_on_disk: int
    """Of the database and the files beside it."""


def root_facts(store: Store) -> tuple[RootFacts, ...]:
    """The folders of the index, by path."""
    roots = store.roots()
    with store.reading() as connection:
        counted = dict(
            connection.execute(
                # The index by root is counted, and not the table: displaced ones are few, and found by their paths.
                "SELECT id, (SELECT COUNT(*) FROM photos WHERE root = roots.id) - "
                f"(SELECT COUNT(*) FROM photos WHERE root = roots.id AND NOT {NOT_DISPLACED}) FROM roots"
            ).fetchall()
        )
    return tuple(
        RootFacts(Path(os.fsdecode(root.path)), counted.get(root.id, 0), root.offline, root.excludes, root.thumbnails)
        for root in roots
    )


def failure_counts(store: Store) -> dict[str, int]:
    """How many files and folders could not be used, by code."""
    with store.reading() as connection:
        return dict(connection.execute("SELECT code, COUNT(*) FROM failures GROUP BY code ORDER BY code"))


def index_facts(store: Store) -> IndexFacts:
    """Counts all that the index holds; reads every row of the vectors, a second or so for a million."""
    roots, failures = root_facts(store), failure_counts(store)
    with store.reading() as connection:
        count = connection.execute("SELECT COUNT(*) FROM thumbnails").fetchone()[0]
        spaces = []
        for row, space_id, model, embed_dim in connection.execute(
            "SELECT id, space_id, model, embed_dim FROM spaces ORDER BY id"
        ).fetchall():
            variants = dict(
                connection.execute(
                    "SELECT variant, COUNT(*) FROM vectors WHERE space = ? GROUP BY variant ORDER BY variant", (row,)
                )
            )
            spaces.append(SpaceFacts(space_id, model, embed_dim, sum(variants.values()), variants))
    return IndexFacts(
        database=store.path,
        photographs=sum(root.photographs for root in roots),
        offline=sum(root.photographs for root in roots if root.offline),
        thumbnails=count,
        roots=roots,
        spaces=tuple(spaces),
        failures=failures,
        bytes_on_disk=_bytes_on_disk(store),
    )


def _bytes_on_disk(store: Store) -> int:
    beside = [store.path.with_name(store.path.name + ending) for ending in ("", "-wal", "-shm")]
    files = [*beside, *store.derived_folder.rglob("*")]
    return sum(file.stat().st_size for file in files if file.is_file())
