"""A server stays whole when one request in ten is hostile: benchmarks/serving_soak.py, for a short while."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[2] / "benchmarks" / "serving_soak.py"


@pytest.mark.slow
def test_server_stays_whole_under_good_and_hostile_requests() -> None:
    """The script's own checks, but for memory: that settles in minutes, so here it may double at most."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
    done = subprocess.run(
        [sys.executable, SOAK, "--seconds", "25", "--warm-up", "10", "--growth", "1", "--port", port],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
