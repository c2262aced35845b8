"""The tables of an index: one SQLite file, the truth. Everything else beside it is derived.

docs/concepts/index-format.md explains them.
"""

from __future__ import annotations

VERSION = 2
"""Kept as SQLite's user_version. A file of a newer one is refused, one of an older one migrated (migrations.py)."""
APPLICATION_ID = 0x636C6970
"""Kept as SQLite's application_id ("clip"): whose file this is."""

TABLES = """
CREATE TABLE counters (           -- one row; a transaction that changes photographs or vectors takes the next serial
    serial INTEGER NOT NULL
);
INSERT INTO counters VALUES (0);

CREATE TABLE roots (              -- folders that were given to the index
    id INTEGER PRIMARY KEY,
    path BLOB NOT NULL UNIQUE,    -- absolute, the file system's own bytes
    offline INTEGER NOT NULL DEFAULT 0,
    excludes TEXT NOT NULL DEFAULT '[]',  -- from version 2: patterns as in .clipwrightignore, a JSON list
    thumbnails INTEGER NOT NULL DEFAULT 1 -- from version 2: whether they are made of what is read
);

CREATE TABLE photos (             -- one row a file
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    root INTEGER NOT NULL REFERENCES roots (id),
    path BLOB NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    content_hash BLOB NOT NULL,   -- BLAKE2b, 16 bytes
    perceptual_hash INTEGER,      -- 64 bits, as SQLite's signed integer
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    format TEXT NOT NULL,
    orientation INTEGER NOT NULL,
    taken REAL,                   -- the camera's clock, seconds from 1970 on that clock
    camera TEXT,
    lens TEXT,
    latitude REAL,
    longitude REAL,
    serial INTEGER NOT NULL       -- of the last change of this row
);
CREATE INDEX photos_by_content ON photos (content_hash);
CREATE INDEX photos_by_root ON photos (root);
CREATE INDEX photos_by_serial ON photos (serial);

CREATE TABLE thumbnails (
    photo INTEGER PRIMARY KEY REFERENCES photos (id) ON DELETE CASCADE,
    jpeg BLOB NOT NULL
);

CREATE TABLE spaces (             -- embedding spaces: a model each
    id INTEGER PRIMARY KEY,
    space_id TEXT NOT NULL UNIQUE,
    model TEXT NOT NULL,          -- the name or path it was loaded by
    embed_dim INTEGER NOT NULL,
    background BLOB NOT NULL      -- (B, D) float16: the background captions' unit vectors
);

CREATE TABLE vectors (
    space INTEGER NOT NULL REFERENCES spaces (id),
    photo INTEGER NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
    variant TEXT NOT NULL,        -- how it was made within its space: "fast-bf16"
    vector BLOB NOT NULL,         -- (D,) float16, unit length, little-endian
    serial INTEGER NOT NULL,
    PRIMARY KEY (space, photo)
) WITHOUT ROWID;
CREATE INDEX vectors_by_serial ON vectors (space, serial);

CREATE TABLE gone (               -- ids of photographs that were removed, for the derived files to catch up
    photo INTEGER PRIMARY KEY,
    serial INTEGER NOT NULL
);
CREATE INDEX gone_by_serial ON gone (serial);

CREATE TABLE failures (           -- files that could not be used; tried again when size or mtime change
    path BLOB PRIMARY KEY,
    root INTEGER NOT NULL REFERENCES roots (id),
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL
);
"""
