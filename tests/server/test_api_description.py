"""The API against its own description: whatever is sent, it answers as it says there, and does not break."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.routes.conftest import PHOTOS
from tests.server.serving import serving_process

_SECONDS = 75
_CHECKS = """
import schemathesis
from schemathesis.specs.openapi.checks import negative_data_rejection

@schemathesis.check
def wrong_json_rejection(ctx, response, case):
    # In a form a number is a text, and a text is a list of one: what is wrong about them cannot be seen there.
    if case.media_type != "multipart/form-data":
        negative_data_rejection(ctx, response, case)
"""
_SETTINGS = """
hooks = "checks"

[checks.negative_data_rejection] # in checks.py
enabled = false

[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "503"]

[checks.positive_data_acceptance] # hardly any string is a picture
enabled = false

[checks.use_after_free] # an update that is deleted is one that is cancelled: it can still be asked for
enabled = false

[[operations]] # a model's name may hold slashes: this address is also that of a model called NAME/reload
include-path = "/v1/models/{model_id}/reload"
checks.allow_header_conformance.enabled = false
"""


@pytest.mark.slow
def test_whatever_is_sent_the_answer_is_as_described(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for photo in PHOTOS:
        shutil.copy(photo, tmp_path / "photos")
    (tmp_path / "schemathesis.toml").write_text(_SETTINGS)
    (tmp_path / "checks.py").write_text(_CHECKS)
    with serving_process("--root", tmp_path / "photos", "--index", tmp_path / "photos.db") as running:
        done = subprocess.run(
            [
                Path(sys.executable).parent / "schemathesis",
                *("run", f"{running.address}/openapi.json"),
                *("--max-time", str(_SECONDS), "--seed", "12", "--continue-on-failure", "--no-color"),
            ],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-20_000:]
        with running.client() as client:
            assert client.get("/readyz").status_code == 200
        assert not [line for line in running.lines if "Traceback" in line]
