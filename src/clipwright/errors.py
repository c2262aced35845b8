"""What can go wrong, as types: one sentence each, with the value in it and the fix.

ClipwrightError and its kinds are raised for a request that cannot be carried out. Failure is a bad input among many,
handed on as a value so that one broken photograph never stops the rest.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

FailureCode = Literal[
    "missing",
    "unreadable",
    "empty",
    "not_an_image",
    "truncated",
    "too_large",
    "no_pictures",
    "changed_while_reading",
    "unsupported_format",
]
FAILURE_CODES: tuple[FailureCode, ...] = get_args(FailureCode)


class ClipwrightError(Exception):
    """The request cannot be carried out; the message is one sentence that says why and what to do."""


class RecipeError(ClipwrightError):
    """A training recipe or another configuration is wrong."""


class UnknownModelError(ClipwrightError):
    """No model has this name."""


class CheckpointError(ClipwrightError):
    """A model file is damaged, incomplete, or not one at all."""


class LabelError(ClipwrightError):
    """The labels or templates cannot be used."""


class DimensionError(ClipwrightError):
    """Arrays that belong together differ in size."""


class DatasetError(ClipwrightError):
    """A data set cannot be read, or too much of it is broken."""


class TokenizerError(ClipwrightError):
    """A tokenizer is damaged or lacks what is needed."""


class MissingExtraError(ClipwrightError):
    """An optional part of clipwright is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the {extra!r} extra: pip install 'clipwright[{extra}]'")


class UnreachableError(ClipwrightError):
    """The network, or what is asked through it, does not answer."""


class QueryError(ClipwrightError):
    """A query cannot be read, or a filter of it."""


class UnknownPhotoError(QueryError):
    """A query names a photograph that the index has not."""


class IndexFileError(ClipwrightError):
    """An index is damaged, of a newer version, held by another, or not one at all."""


class MissingIndexError(IndexFileError):
    """There is no index where one is to be, or it is being made."""


class BusyIndexError(IndexFileError):
    """Another process is changing the index."""


class DamagedIndexError(IndexFileError):
    """Part of an index's database cannot be read; the rest can be salvaged."""


class InterruptedRunError(ClipwrightError):
    """A run was asked to stop and saved its state."""


@dataclass(frozen=True, repr=False)
class Failure:
    """One input that could not be used. source is what the caller gave (a path as it was written, or a name)."""

    source: Any
    code: FailureCode
    message: str

    def __repr__(self) -> str:
        return f"Failure(source={shown_source(self.source)}, code={self.code!r}, message={self.message!r})"


class ImageError(ClipwrightError):
    """One picture cannot be used."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.code = code

    def failure(self, source: Any) -> Failure:
        return Failure(source, self.code, str(self))


def describe_source(source: object) -> str:
    """An input in words: its path, or what it is; never the numbers of an array."""
    if isinstance(source, bytes):
        return f"{len(source):,} bytes"
    shape = getattr(source, "shape", None)
    if isinstance(shape, Sequence):
        kind = type(source).__name__
        return f"{'array' if kind == 'ndarray' else kind} {tuple(shape)}"
    if isinstance(source, str | os.PathLike):
        return str(source)
    return repr(source) if hasattr(source, "mode") else f"a value of type {type(source).__name__}"


def shown_source(source: object) -> str:
    """An input as repr is to show it."""
    return repr(source) if isinstance(source, str | os.PathLike) else f"<{describe_source(source)}>"


def suggestion(name: str, known: Iterable[str], count: int = 3) -> str:
    """'; did you mean a or b?' with the known names nearest to name, or '' where none is near."""
    near = difflib.get_close_matches(name, list(known), n=count, cutoff=0.5)
    return f"; did you mean {' or '.join(repr(other) for other in near)}?" if near else ""
