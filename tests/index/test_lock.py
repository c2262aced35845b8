"""One indexer at a time."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from clipwright.errors import IndexFileError
from clipwright.index.lock import Holder, only_indexer
from tests.index.folders import as_nobody

HOLD = """
import sys, time
from pathlib import Path
from clipwright.index.lock import only_indexer
with only_indexer(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(database: Path) -> subprocess.Popen[str]:
    """A process that holds the lock until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_is_told_who_holds_it(tmp_path: Path) -> None:
    with holder(tmp_path / "photos.db") as first:
        expected = rf"photos\.db is being changed by process {first.pid} on {socket.gethostname()}; wait"
        with pytest.raises(IndexFileError, match=expected), only_indexer(tmp_path / "photos.db", wait=False):
            pass
        first.communicate("")
    with only_indexer(tmp_path / "photos.db", wait=False):
        pass


def test_the_second_waits_until_the_first_has_ended(tmp_path: Path) -> None:
    waiting: list[Holder] = []
    order: list[str] = []
    with holder(tmp_path / "photos.db") as first:

        def end() -> None:
            assert first.stdin is not None
            order.append("first ends")
            first.stdin.close()

        def on_wait(by: Holder) -> None:
            waiting.append(by)
            threading.Timer(0.3, end).start()

        with only_indexer(tmp_path / "photos.db", on_wait=on_wait):
            order.append("second begins")
    assert waiting == [Holder(first.pid, socket.gethostname())]
    assert order == ["first ends", "second begins"]


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    with holder(tmp_path / "photos.db") as first:
        first.send_signal(signal.SIGKILL)
        first.wait()
    with only_indexer(tmp_path / "photos.db", wait=False):
        told = (tmp_path / "photos.db.holder").read_text()
        assert str(os.getpid()) in told


def test_two_threads_do_not_index_at_once(tmp_path: Path) -> None:
    with (
        only_indexer(tmp_path / "photos.db"),
        pytest.raises(IndexFileError),
        only_indexer(tmp_path / "photos.db", wait=False),
    ):
        pass


def test_a_folder_that_may_not_be_written_is_said_in_a_sentence() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o555)

        def lock() -> None:
            expected = pytest.raises(IndexFileError, match="cannot be written: Permission denied")
            with expected, only_indexer(Path(name, "photos.db")):
                pass

        as_nobody(lock)
