"""int8 gives the same numbers on processors that are not at hand, as far as these can be imitated."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ARITHMETIC = Path(__file__).parent / "graph" / "test_arithmetic.py"
IMITATIONS = {
    # Instructions up to AVX2 are translated one by one; QEMU 7.2 gets some of NumPy's own wrong, which are left out.
    "Haswell": (["qemu-x86_64", "-cpu", "Haswell-v2"], {"NPY_DISABLE_CPU_FEATURES": "X86_V3"}),
    "Skylake without AVX-512": (["qemu-x86_64", "-cpu", "Skylake-Client-v1"], {"NPY_DISABLE_CPU_FEATURES": "X86_V3"}),
    # oneDNN, which OpenVINO multiplies with, takes no newer instructions than it is told; here AVX-512 without VNNI.
    "oneDNN on Skylake-X": ([], {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}),
}


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="these are processors of the x86 family")
@pytest.mark.parametrize("name", IMITATIONS)
def test_int8_is_near_floats_on(name: str) -> None:
    before, environment = IMITATIONS[name]
    assert not before or shutil.which(before[0]), "needs Debian's qemu-user; 'make test-slow' installs it"
    command = [*before, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(ARITHMETIC)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
