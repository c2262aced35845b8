"""What is wrong with an index, as a client is told: a code and a sentence without any path of this machine."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from clipwright.errors import (
    BusyIndexError,
    ClipwrightError,
    DamagedIndexError,
    DimensionError,
    MissingIndexError,
    QueryError,
    UnknownPhotoError,
)
from clipwright.server.rejection import RejectionCode, RejectionError

_RETRY_SECONDS = 30.0
_SENTENCES: tuple[tuple[type[Exception], RejectionCode, str], ...] = (
    (DamagedIndexError, "index_damaged", "the index is damaged; an update (POST /v1/index) salvages what can be read"),
    (DimensionError, "index_unusable", "the index has vectors of another size than this model gives; update it"),
    (ClipwrightError, "index_unusable", "the index cannot be used at the moment; the server's log says why"),
    (OSError, "index_unusable", "the disk of the index fails or is full; the server's log says more"),
)
"""For errors whose own words hold a path."""
logger = logging.getLogger(__name__)


def rejection_of(error: ClipwrightError | OSError) -> RejectionError:
    """The answer to a request that met this error of the index."""
    if isinstance(error, RejectionError):
        return error
    if isinstance(error, UnknownPhotoError):
        return RejectionError(404, "unknown_photo", str(error))
    if isinstance(error, QueryError):
        return RejectionError(400, "invalid_query", str(error), param="query")
    if isinstance(error, MissingIndexError):
        return RejectionError(409, "no_index", "there is no index yet; an update (POST /v1/index) makes one")
    if isinstance(error, BusyIndexError):
        return index_busy("another process is updating the index; try again when it has ended")
    logger.warning("the index cannot be used: %s", error)  # with its path, for who runs the server
    code, sentence = next((code, sentence) for kind, code, sentence in _SENTENCES if isinstance(error, kind))
    return RejectionError(503, code, sentence, retry_after=_RETRY_SECONDS)


def index_busy(message: str) -> RejectionError:
    return RejectionError(409, "index_busy", message, retry_after=_RETRY_SECONDS)


@contextlib.contextmanager
def as_rejections() -> Iterator[None]:
    """Errors of the index that are raised in the block become RejectionErrors."""
    try:
        yield
    except (ClipwrightError, OSError) as error:
        rejection = rejection_of(error)
        if rejection is error:
            raise
        raise rejection from error
