"""An update of the index in a process of its own, so that what kills it kills no server, and requests go first.

`python -m clipwright.server.library.update_process` reads one line of JSON from its standard input, an UpdateOrder, and
stops, keeping what it did, when that input ends: so it does not outlive the server either. It writes JSON lines:
{"done", "total", "failed"} as it goes, and at the end {"counts"}, or {"error": {"code", "message"}}, or
{"cancelled": true}.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from clipwright.embedding.embedder import Embedder, Pixels
from clipwright.embedding.load import BackendChoice, PrecisionChoice
from clipwright.errors import ClipwrightError, Failure
from clipwright.server.library.index_faults import rejection_of
from clipwright.server.rejection import RejectionError

_NICENESS = 10
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class UpdateOrder:
    """What is to be updated, and with what."""

    database: str
    folders: tuple[str, ...]
    """All that the index knows where there is none."""
    model: str
    backend: BackendChoice | None
    precision: PrecisionChoice
    pixels: Pixels
    threads: int | None
    batch_size: int

    def line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def of_line(cls, line: bytes) -> UpdateOrder:
        fields = json.loads(line)
        return cls(**{**fields, "folders": tuple(fields["folders"])})


def main() -> None:
    with _answers() as answers:

        def answer(**fields: Any) -> None:
            answers.write(json.dumps(fields).encode() + b"\n")
            answers.flush()

        try:
            order = UpdateOrder.of_line(sys.stdin.buffer.readline())
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            threading.Thread(target=_stop_with_the_server, daemon=True).start()
            answer(counts=_update(order, answer))
        except KeyboardInterrupt:
            answer(cancelled=True)
        except (ClipwrightError, OSError) as error:
            rejection = rejection_of(error)  # in words without any path: a client reads them
            answer(error={"code": rejection.code, "message": str(rejection)})


def _update(order: UpdateOrder, answer: Any) -> dict[str, int]:
    from clipwright.index.photo_index import PhotoIndex
    from clipwright.inputs.image_names import passed_over

    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    embedder = _open_embedder(order)
    failed = 0

    def note_failure(_: Failure) -> None:
        nonlocal failed
        failed += 1

    with PhotoIndex.open(Path(order.database)) as index:
        counts = index.update(
            [Path(folder) for folder in order.folders],
            embedder,
            batch_size=order.batch_size,
            threads=order.threads,
            progress=lambda done, total: answer(done=done, total=total, failed=failed),
            on_failure=note_failure,
            wait=False,
        )
    if counts.passed_over:
        logger.warning("passed over: %s", passed_over(counts.passed_over))
    done = {name: count for name, count in asdict(counts).items() if isinstance(count, int)}
    return {**done, "passed_over": sum(counts.passed_over.values())}


def _open_embedder(order: UpdateOrder) -> Embedder:
    """Raises RejectionError where the model cannot be opened."""
    from clipwright.embedding.load import load_embedder

    try:
        return load_embedder(
            order.model, threads=order.threads, pixels=order.pixels, backend=order.backend, precision=order.precision
        )
    except (ClipwrightError, OSError) as error:
        logger.warning("the model cannot be opened: %s", error)
        what = "the model that embeds photographs cannot be opened; the server's log says why"
        raise RejectionError(503, "model_unavailable", what) from error


@contextlib.contextmanager
def _answers() -> Iterator[IO[bytes]]:
    """Standard output, to which nothing else is written: what a library prints goes to standard error."""
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        yield answers


def _stop_with_the_server() -> None:
    """Interrupts the update when standard input ends: the server asks for that, or is no more."""
    while os.read(0, 4096):
        pass
    if os.name == "nt":
        import _thread

        _thread.interrupt_main()
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


if __name__ == "__main__":
    main()
