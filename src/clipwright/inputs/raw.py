"""The raw files of cameras, with the 'raw' extra."""

from __future__ import annotations

import functools
import importlib.util

RAW_SUFFIXES = frozenset(
    [
        ".3fr",
        ".arw",
        ".cr2",
        ".cr3",
        ".crw",
        ".dcr",
        ".dng",
        ".erf",
        ".fff",
        ".iiq",
        ".kdc",
        ".mef",
        ".mos",
        ".mrw",
        ".nef",
        ".nrw",
        ".orf",
        ".pef",
        ".raf",
        ".rw2",
        ".rwl",
        ".sr2",
        ".srf",
        ".srw",
        ".x3f",
    ]
)
"""Lower-case endings of what cameras write when they keep what the sensor saw."""

NEEDS_EXTRA = "a camera's raw file; reading these needs the 'raw' extra: pip install 'clipwright[raw]'"


@functools.cache
def is_available() -> bool:
    """Whether raw files can be read here."""
    return importlib.util.find_spec("rawpy") is not None
