"""Globs over the paths of many photographs: folders are matched one by one, names many at a time."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clipwright.errors import QueryError

_ONE_CHARACTER = rb"(?:[\x00-\x2e\x30-\x7f]|[\xc0-\xff][\x80-\xbf]*+|[\x80-\xbf])"
"""A character of UTF-8, not a slash; of names that are none, a byte."""
_PATTERNS = {b"*": rb"[^/]*", b"**": rb".*", b"?": _ONE_CHARACTER}
_NAME_WIDTHS = (32, 64, 128, 1024)
"""Names lie in arrays of these widths, so that one long name does not make a million others longer."""


def parse_glob(text: str | bytes) -> tuple[bytes, ...]:
    """A glob as its pieces: b"*", b"**", b"?", and what stands for itself. Raises QueryError at an empty one.

    With a slash in it, a glob that does not begin at the root is one for the ends of paths; one that ends with a slash
    is for everything below. Without a slash, it is for names.
    """
    pattern = os.fsencode(text)
    if os.sep == "\\":
        pattern = pattern.replace(b"\\", b"/")
    if not pattern.strip():
        raise QueryError("--path is empty; give a pattern like '*.jpg' or '/photos/2024/**'")
    if b"\0" in pattern:
        raise QueryError(f"--path {os.fsdecode(pattern)!r} has a NUL in it, which no path has; leave it out")
    if not Path(os.fsdecode(pattern)).is_absolute() and not pattern.startswith(b"**"):
        pattern = b"**/" + pattern
    if pattern.endswith(b"/"):
        pattern += b"**"
    return tuple(b"**" if piece.startswith(b"**") else piece for piece in re.findall(rb"\*+|\?|[^*?]+", pattern))


@dataclass(frozen=True)
class Paths:
    """The paths of N photographs, as arrays that lie in a file well."""

    folder: np.ndarray
    """(N,) int32: a row of folders."""
    folder_bytes: np.ndarray
    """All folders, each with a slash at its end, one after the other: (bytes,) uint8."""
    folder_ends: np.ndarray
    """(folders,) int64"""
    names: tuple[tuple[np.ndarray, np.ndarray], ...]
    """Rows (int64) and their names (bytes of one width); every photograph is in one of the pairs."""

    @classmethod
    def of(cls, paths: Sequence[bytes]) -> Paths:
        if os.sep == "\\":
            paths = [path.replace(b"\\", b"/") for path in paths]
        known: dict[bytes, int] = {}
        folder, names = np.empty(len(paths), np.int32), []
        for row, path in enumerate(paths):
            head, slash, name = path.rpartition(b"/")
            folder[row] = known.setdefault(head + slash, len(known))
            names.append(name)
        lengths = np.fromiter(map(len, names), np.int64, len(names))
        sorted_names, narrower = [], -1
        for width in _NAME_WIDTHS:
            rows = np.flatnonzero((lengths > narrower) & (lengths <= width))
            sorted_names.append((rows, np.array([names[row] for row in rows], f"S{width}")))
            narrower = width
        ends = np.cumsum(np.fromiter(map(len, known), np.int64, len(known)))
        return cls(folder, np.frombuffer(b"".join(known), np.uint8), ends, tuple(sorted_names))

    def as_arrays(self) -> dict[str, np.ndarray]:
        """By names that from_arrays knows."""
        arrays = {"folder": self.folder, "folder_bytes": self.folder_bytes, "folder_ends": self.folder_ends}
        for width, (rows, names) in zip(_NAME_WIDTHS, self.names, strict=True):
            arrays[f"rows_of_names_{width}"], arrays[f"names_{width}"] = rows, names
        return arrays

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Paths:
        names = tuple((arrays[f"rows_of_names_{width}"], arrays[f"names_{width}"]) for width in _NAME_WIDTHS)
        return cls(arrays["folder"], arrays["folder_bytes"], arrays["folder_ends"], names)

    def matching(self, glob: Sequence[bytes]) -> np.ndarray:
        """(N,) bool: whose whole paths a glob's pieces match, as parse_glob gives them."""
        found = np.zeros(len(self.folder), bool)
        everything, ends = self.folder_bytes.tobytes(), self.folder_ends.tolist()
        starts = [0, *ends]
        folders = [everything[start:end] for start, end in zip(starts, ends, strict=False)]
        for folder_glob, name_glob in _cuts(glob):
            matches = _pattern(folder_glob).fullmatch
            in_folder = np.fromiter((matches(folder) is not None for folder in folders), bool, len(folders))
            if not in_folder.any():
                continue
            candidates = in_folder[self.folder] & ~found
            if all(piece == b"*" for piece in name_glob):
                found |= candidates
                continue
            for rows, names in self.names:
                among = np.flatnonzero(candidates[rows])
                chosen, texts = (rows, names) if len(among) == len(rows) else (rows[among], names[among])
                found[chosen[_names_matching(texts, name_glob)]] = True
        return found


def _cuts(glob: Sequence[bytes]) -> list[tuple[tuple[bytes, ...], tuple[bytes, ...]]]:
    """Where a path's last slash may lie in a glob: pairs of a glob for folders (slash included) and one for names.

    It is the last slash that is written, or is stood for by a ** after that one.
    """
    cuts = []
    for place in reversed(range(len(glob))):
        piece = glob[place]
        if piece == b"**":
            cuts.append(((*glob[:place], b"**"), _within_name((b"**", *glob[place + 1 :]))))
        elif b"/" in piece:
            head, slash, tail = piece.rpartition(b"/")
            rest = (tail, *glob[place + 1 :]) if tail else tuple(glob[place + 1 :])
            cuts.append(((*glob[:place], head + slash), _within_name(rest)))
            break
    return cuts


def _within_name(glob: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(b"*" if piece == b"**" else piece for piece in glob)


def _pattern(glob: Sequence[bytes]) -> re.Pattern[bytes]:
    return re.compile(b"".join(_PATTERNS.get(piece) or re.escape(piece) for piece in glob), re.DOTALL)


def _names_matching(names: np.ndarray, glob: tuple[bytes, ...]) -> np.ndarray:
    """Rows of names (bytes) that a glob matches.

    What stands for itself must come in its order: that is all where there is no "?", and leaves few where there is.
    """
    if not glob:
        return np.flatnonzero(names == b"")
    rows, reached = np.arange(len(names)), np.zeros(len(names), np.int64)
    for place, piece in enumerate(glob):
        if piece in _PATTERNS:
            continue
        here = names if len(rows) == len(names) else names[rows]
        if place == 0:
            at = np.where(np.strings.startswith(here, piece), 0, -1)
        elif place == len(glob) - 1:
            start = np.strings.str_len(here) - len(piece)
            at = np.where(np.strings.endswith(here, piece) & (start >= reached), start, -1)
        else:
            at = np.strings.find(here, piece, reached)
        kept = at >= 0
        rows, reached = rows[kept], at[kept] + len(piece)
    if len(glob) == 1 and glob[0] not in _PATTERNS:
        rows = rows[names[rows] == glob[0]]
    if b"?" in glob:
        matches = _pattern(glob).fullmatch
        rows = rows[np.fromiter((matches(name) is not None for name in names[rows].tolist()), bool, len(rows))]
    return rows
