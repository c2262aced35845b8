"""The versions of uvicorn whose inside gate/connection.py builds on."""

from __future__ import annotations

import re
from importlib.metadata import version

from clipwright.errors import ClipwrightError

OLDEST, BEYOND = "0.36", "0.55"
"""The tests of the gate were run with the first and the last between them, and with five more; pyproject.toml says the
same."""


def check_uvicorn() -> None:
    """Raises ClipwrightError where another version is installed: the limits of connections might not hold."""
    installed = version("uvicorn")
    if not _number(OLDEST) <= _number(installed) < _number(BEYOND):
        raise ClipwrightError(
            f"uvicorn {installed} is installed, and clipwright serve is tested with {OLDEST} to before {BEYOND};"
            f" pip install 'uvicorn>={OLDEST},<{BEYOND}' brings one of these"
        )


def _number(written: str) -> tuple[int, ...]:
    """Of a version, as far as it tells releases of uvicorn apart that may differ inside."""
    return tuple(int(part) for part in re.findall(r"\d+", written)[:2])
