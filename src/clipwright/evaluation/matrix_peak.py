"""The machine's matrix peak: what arithmetic it can do in a second, as the fastest of its libraries show it.

A model cannot be faster than its multiply-adds at this rate, so the share that it reaches says what is left to gain.
"""

from __future__ import annotations

import importlib.util
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from clipwright.embedding.backend import Precision
from clipwright.evaluation.timing import Timed, take_turns

PEAK_SIZE = 2048
"""Rows and columns of the matrices that are multiplied on a processor."""
_GPU_PEAK_SIZE = 8192
"""On a GPU, which the smaller product does not fill."""
Place = Literal["processor", "gpu"]


@dataclass(frozen=True)
class MatrixPeak:
    """The rate of the fastest product; a multiply-add counts as two operations."""

    place: Place
    precision: Precision
    operations_per_second: float
    by: str
    """The library that reached it."""


def contenders(precision: Precision, threads: int | None, *, place: Place, with_torch: bool) -> dict[str, Timed]:
    """A product of each library that is installed and has it in this precision, in operations. None may have it.

    torch takes part where it is asked for, since importing it takes seconds. NumPy's threads cannot be bounded from
    here, so it takes part where all cores do.
    """
    from clipwright.embedding.backends import onnx

    products: dict[str, Callable[[], None] | None] = {}
    size = _GPU_PEAK_SIZE if place == "gpu" else PEAK_SIZE
    if place == "processor":
        if threads is None or threads >= (os.cpu_count() or 1):
            products["numpy"] = _numpy_product(size, precision)
        products["onnx"] = onnx.matrix_product(size, precision, threads)
        if importlib.util.find_spec("openvino") is not None:
            from clipwright.embedding.backends import openvino

            products["openvino"] = openvino.matrix_product(size, precision, threads)
    if with_torch:
        from clipwright.embedding.backends import torch

        products["torch"] = torch.matrix_product(size, precision, threads, gpu=place == "gpu")
    return {name: Timed(product, 2 * size**3) for name, product in products.items() if product is not None}


def fastest(place: Place, precision: Precision, timed: dict[str, Timed]) -> MatrixPeak:
    """The peak that contenders have shown once they have had their turns."""
    by = max(timed, key=lambda name: timed[name].best)
    return MatrixPeak(place, precision, timed[by].best, by)


def matrix_peak(precision: Precision, threads: int | None = None, *, rounds: int = 5) -> MatrixPeak:
    """The processor's peak in fp32 or int8, or in bf16 where it is known to torch or OpenVINO; torch takes part."""
    timed = contenders(precision, threads, place="processor", with_torch=importlib.util.find_spec("torch") is not None)
    take_turns(list(timed.values()), rounds, 0.1)
    return fastest("processor", precision, timed)


def processor_name() -> str:
    """What the processor is called."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _numpy_product(size: int, precision: Precision) -> Callable[[], None] | None:
    if precision != "fp32":
        return None
    a, b = np.ones((2, size, size), np.float32)
    out = np.empty_like(a)

    def multiply() -> None:
        np.matmul(a, b, out=out)

    return multiply
