from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from clipwright.errors import ClipwrightError
from clipwright.server import uvicorn_range
from clipwright.server.uvicorn_range import BEYOND, OLDEST, check_uvicorn

ROOT = Path(__file__).parents[2]


def test_what_pip_installs_is_what_was_tested() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        asked = tomllib.load(file)["project"]["optional-dependencies"]["serve"]
    assert f"uvicorn>={OLDEST},<{BEYOND}" in asked
    check_uvicorn()


@pytest.mark.parametrize("installed", ["0.36", "0.36.1", "0.54.0", "0.54.9.post1"])
def test_the_versions_between_are_taken(installed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn_range, "version", lambda _: installed)
    check_uvicorn()


@pytest.mark.parametrize("installed", ["0.34.0", "0.35.0", "0.55.0", "0.55.0rc1", "0.100.0", "1.0", "1.40.0"])
def test_another_version_is_refused_with_what_to_install(installed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn_range, "version", lambda _: installed)
    with pytest.raises(ClipwrightError, match=rf"uvicorn {installed} is installed.*pip install 'uvicorn>=0.36,<0.55'"):
        check_uvicorn()
