"""What decoders remark on odd files, which is not the user's."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator

_filters = threading.Lock()


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Within it, no thread warns. The filters belong to all threads, hence the lock."""
    with _filters, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
