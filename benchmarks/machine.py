"""What a benchmark says of the machine that it ran on."""

from __future__ import annotations

import datetime
import os
import platform
import time
from pathlib import Path

import numpy as np
import torch

PEAK_SIZE = 2048
_ROUNDS = 5


def describe() -> str:
    """Processor, cores, versions and date, as lines of Markdown."""
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, NumPy {np.__version__}"
    return f"- {processor()}, {os.cpu_count()} cores\n- {versions}\n- {datetime.date.today().isoformat()}"


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def matrix_peak(dtype: torch.dtype) -> float:
    """Floating-point operations a second of a 2048 x 2048 x 2048 product in torch, the best of several rounds."""
    a, b = (torch.randn(PEAK_SIZE, PEAK_SIZE).to(dtype) for _ in range(2))
    a @ b
    best = float("inf")
    for _ in range(_ROUNDS):
        begun = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - begun)
    return 2 * PEAK_SIZE**3 / best
