"""Who runs models needs no torch: proved in a virtual environment that has none."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import REFERENCE

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh virtual environment with the base install."""
    folder, source = tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, source)
    shutil.copytree(PROJECT / "src" / "clipwright", source / "src" / "clipwright")  # building leaves files behind
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install: list[str | Path] = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-c",
        PROJECT / "constraints.txt",
    ]
    subprocess.run([folder / "bin" / "python", *install, source], check=True)
    return folder / "bin"


@pytest.mark.slow
def test_the_base_install_classifies_compares_and_embeds_without_torch(environment: Path) -> None:
    assert subprocess.run([environment / "python", "-c", "import torch"], capture_output=True, check=False).returncode
    photo = REFERENCE / "pictures" / "rocket.jpg"
    calls: list[list[str | Path]] = [
        ["classify", photo, "--labels", "rocket, cat", "--json"],
        ["similarity", photo, "--text", "a rocket", "--json"],
        ["embed", photo],
    ]
    for arguments in calls:
        done = subprocess.run([environment / "clipwright", *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["source"] == str(photo)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["openai-vit.pt", "hf-clip", "openclip-rn"])
def test_published_layouts_are_read_without_torch(environment: Path, model: str) -> None:
    done = subprocess.run(
        [environment / "clipwright", "info", REFERENCE / model, "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["space_id"]


@pytest.mark.slow
def test_the_base_install_lists_published_models(environment: Path) -> None:
    done = subprocess.run([environment / "clipwright", "models", "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"name": "openai-vit-b-32"' in done.stdout
