"""From an index of an older version to one of this: steps in their order, in the transaction of who writes first.

A step may add a table after all others and a column behind the others of its table, with a default, and move no table
to another page: what is read of a damaged index (salvage.py) may then be of any version.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from clipwright.index.schema import VERSION


def _give_roots_settings(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE roots ADD COLUMN excludes TEXT NOT NULL DEFAULT '[]'")
    connection.execute("ALTER TABLE roots ADD COLUMN thumbnails INTEGER NOT NULL DEFAULT 1")


MIGRATIONS: dict[int, Callable[[sqlite3.Connection], None]] = {2: _give_roots_settings}
"""By the version that each makes of the one before; the last is schema.py's."""


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Makes a database of a version one of this, within the transaction that was begun: whole or not at all."""
    for number in range(version + 1, VERSION + 1):
        MIGRATIONS[number](connection)
        connection.execute(f"PRAGMA user_version = {number}")
