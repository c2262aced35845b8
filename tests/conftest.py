"""Fixtures that several rooms' tests need."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from clipwright.checkpoints.model_file import save_model
from clipwright.embedding import calibration
from clipwright.evaluation import matrix_peak, parity, speed
from tests.inputs.pictures import png
from tests.support import REFERENCE, tiny_checkpoint

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(autouse=True, scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What clipwright keeps for the user goes into a temporary folder, in the processes that tests start too."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLIPWRIGHT_HOME", str(folder))
        yield folder


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """torch and OpenMP keep to one thread, also in processes that tests start: tests run side by side."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(autouse=True, scope="session")
def made_up_pictures() -> Iterator[None]:
    """Each picture of dead leaves is made once: every export compares on them, every int8 is calibrated with them."""
    remembered = functools.cache(calibration.dead_leaves)
    with pytest.MonkeyPatch.context() as patch:
        for module in (calibration, parity):
            patch.setattr(module, "dead_leaves", remembered)
        yield


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of tiny_checkpoint's model."""
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_model(path, tiny_checkpoint())
    return path


@pytest.fixture
def small_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    """What measures speed does so with small products and photographs."""
    monkeypatch.setattr(matrix_peak, "PEAK_SIZE", 64)
    monkeypatch.setattr(speed, "LARGE_SIZE", (2000, 1500))


@pytest.fixture(scope="session")
def photo() -> Path:
    """A photograph that can be read."""
    return REFERENCE / "pictures" / "rocket.jpg"


@pytest.fixture
def bad_photos(tmp_path: Path, photo: Path) -> dict[str, Path]:
    """What people pass by mistake, by the code of its failure."""
    folder = tmp_path / "bad"
    (folder / "no pictures").mkdir(parents=True)
    (folder / "no pictures" / "notes.txt").write_text("nothing here")
    (folder / "cut.jpg").write_bytes(photo.read_bytes()[:3000])
    (folder / "text.jpg").write_text("Dear diary, today I took no photograph.")
    (folder / "zero.jpg").touch()
    (folder / "bomb.png").write_bytes(png(60_000, 60_000, 8, 2, b""))
    return {
        "truncated": folder / "cut.jpg",
        "not_an_image": folder / "text.jpg",
        "empty": folder / "zero.jpg",
        "too_large": folder / "bomb.png",
        "missing": folder / "lost.jpg",
        "no_pictures": folder / "no pictures",
    }
