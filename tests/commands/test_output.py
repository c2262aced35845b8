from __future__ import annotations

import base64
import io
import logging
import os
import sys
import time
from pathlib import Path

import pytest

from clipwright.commands.output import bar, log_to_stderr, progress, shorten, source_fields


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("share", "drawn"),
    [(0.0, ""), (1.0, "█" * 24), (0.5, "█" * 12), (1 / 192, "▏"), (25 / 192, "███▏"), (-1.0, ""), (2.0, "█" * 24)],
)
def test_a_bar_is_as_long_as_its_share(share: float, drawn: str) -> None:
    assert bar(share) == drawn


@pytest.mark.parametrize(
    ("text", "shortened"),
    [("", ""), ("sixteen letters!", "sixteen letters!"), ("holidays/2025/beach.jpg", "…/2025/beach.jpg")],
)
def test_a_long_text_keeps_its_end(text: str, shortened: str) -> None:
    assert shorten(text, 16) == shortened


def test_a_source_is_written_as_it_was_named() -> None:
    assert source_fields(Path("été.jpg")) == {"source": "été.jpg"}


def test_a_name_that_is_not_utf8_keeps_its_bytes() -> None:
    fields = source_fields(Path(os.fsdecode(b"caf\xe9.jpg")))
    assert fields["source"] == "caf\ufffd.jpg"
    assert base64.b64decode(fields["source_bytes"]) == b"caf\xe9.jpg"


def test_a_log_gets_a_line_of_progress_every_few_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with progress("classifying", quiet=False) as tell:
        for done in range(1, 12):
            now += 1
            tell(done, 2000)
    told = ["classifying: 5 of 2,000, 1.0/s, 33:15 left\n", "classifying: 10 of 2,000, 1.0/s, 33:10 left\n"]
    assert capsys.readouterr().err == "".join(told)


def test_hours_left_are_told_as_hours(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with progress("indexing", quiet=False) as tell:
        now = 10.0
        tell(5, 5000)
    assert capsys.readouterr().err == "indexing: 5 of 5,000, 0.5/s, 2:46:30 left\n"


def test_quiet_tells_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress("classifying", quiet=True) as tell:
        tell(1, 2)
    assert not terminal.getvalue()


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress("classifying", quiet=False) as tell:
        tell(1, 2)
        tell(2, 2)
    assert "classifying" in terminal.getvalue()
    assert "2/2" in terminal.getvalue()


@pytest.mark.parametrize(("quiet", "said"), [(False, "warning: a text was cut\n"), (True, "")])
def test_warnings_of_the_library_are_lines_unless_quiet(
    quiet: bool, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = logging.getLogger("clipwright")
    handlers, level = list(logger.handlers), logger.level
    try:
        log_to_stderr(quiet)
        logging.getLogger("clipwright.embedding.embedder").warning("a text was %s", "cut")
    finally:
        logger.handlers[:] = handlers
        logger.setLevel(level)
    assert capsys.readouterr().err == said
