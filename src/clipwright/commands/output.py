"""How commands write: JSON Lines or aligned rows on stdout, progress and failures on stderr."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from clipwright.errors import Failure

_LOG_SECONDS = 5.0
"""How often progress is told where there is no terminal to draw on."""
_BAR_WIDTH = 24


def source_fields(source: Any) -> dict[str, str]:
    """'source', and 'source_bytes' (base64) where the file's name is not UTF-8."""
    name = str(source)
    try:
        name.encode()
    except UnicodeEncodeError:
        encoded = os.fsencode(name)
        return {"source": encoded.decode("utf-8", "replace"), "source_bytes": base64.b64encode(encoded).decode()}
    return {"source": name}


def print_json(record: dict[str, Any]) -> None:
    """One line on stdout; where that is not UTF-8, letters beyond ASCII are escaped, as JSON knows to."""
    is_utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    print(json.dumps(record, ensure_ascii=not is_utf8), flush=True)


def failure_record(failure: Failure) -> dict[str, Any]:
    return {**source_fields(failure.source), "error": {"code": failure.code, "message": failure.message}}


def print_failure(failure: Failure) -> None:
    """One line on stderr: which input, and why."""
    print(f"failed: {source_fields(failure.source)['source']}: {failure.message}", file=sys.stderr)


def bar(share: float, width: int = _BAR_WIDTH) -> str:
    """A share of 1 as a bar of up to width characters, to an eighth of one."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def shorten(text: str, width: int) -> str:
    """The text in at most width characters; of a path the end is kept."""
    return text if len(text) <= width else "…" + text[-(width - 1) :]


def shown_size(count: int) -> str:
    """A number of bytes for people: 29.8 MB, or 12 kB where it is less than one MB."""
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.0f} kB"


@contextlib.contextmanager
def progress(what: str, quiet: bool, *, prints_rows: bool = False) -> Iterator[Callable[[int, int | None], None]]:
    """Draws (done, total) as a bar on a terminal, and as a line every few seconds in a log.

    Where rows are printed meanwhile and stdout is a terminal, they are the progress, and nothing is drawn.
    """
    if quiet or (prints_rows and sys.stdout.isatty()):
        yield lambda done, total: None
        return
    if not sys.stderr.isatty():
        begun = last = time.monotonic()

        def tell(done: int, total: int | None) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= _LOG_SECONDS:
                last = now
                rate = done / (now - begun)
                left = f", {_duration((total - done) / rate)} left" if total and rate else ""
                print(f"{what}: {done:,}{f' of {total:,}' if total else ''}, {rate:,.1f}/s{left}", file=sys.stderr)

        yield tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    # Data stay on stdout: by default rich would take what is printed meanwhile to stderr.
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as drawn:
        task = drawn.add_task(what, total=None, rate="")

        def draw(done: int, total: int | None) -> None:
            speed = drawn.tasks[task].speed
            drawn.update(task, completed=done, total=total, rate=f"{speed:,.1f}/s" if speed else "")

        yield draw


def _duration(seconds: float) -> str:
    """1:02:03 or 2:03."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def log_to_stderr(quiet: bool) -> None:
    """Shows the library's warnings (a text that was cut, a sample that was skipped) as lines on stderr."""
    logger = logging.getLogger("clipwright")
    logger.addHandler(_WarningLines())
    logger.setLevel(logging.ERROR if quiet else logging.WARNING)


class _WarningLines(logging.Handler):
    """Writes to what stderr is at that moment: above a bar, where one is drawn."""

    def emit(self, record: logging.LogRecord) -> None:
        print(f"warning: {record.getMessage()}", file=sys.stderr)
        if record.exc_info:  # a bug of ours, which a server outlives
            traceback.print_exception(record.exc_info[1])
