"""Models that answer at once, for tests of what stands before them."""

from __future__ import annotations

from pathlib import Path

import pytest

from clipwright.server.models import worker_process
from tests.server.models.fake_models import FakeFile
from tests.server.models.fake_worker import COMMAND


@pytest.fixture
def fake_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are those of fake_worker.py."""
    monkeypatch.setattr(worker_process, "COMMAND", COMMAND)


@pytest.fixture
def model(tmp_path: Path, fake_workers: None) -> FakeFile:
    """The file of a fake model."""
    return FakeFile(tmp_path / "fake.json")
