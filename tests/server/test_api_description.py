"""The API against its own description: whatever is sent, it answers as it says there, and does not break."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clipwright.server.app import create_app
from clipwright.server.requests.request_body import RequestModel, json_schema
from clipwright.server.settings import ServerSettings
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


def bodies(model: type[RequestModel] = RequestModel) -> Iterator[type[RequestModel]]:
    """All that the server's requests may hold, and the objects within."""
    for kind in model.__subclasses__():
        if kind.__module__.startswith("clipwright."):
            yield kind
        yield from bodies(kind)


def sample(schema: dict[str, Any]) -> Any:
    """The least that a schema asks for."""
    if "anyOf" in schema:
        return sample(schema["anyOf"][0])
    if schema["type"] == "object":
        return {name: sample(schema["properties"][name]) for name in schema.get("required", ())}
    if schema["type"] == "array":
        return [sample(schema["items"])]
    return {"string": "a", "number": 1}[schema["type"]]


@pytest.mark.parametrize("model", list(bodies()), ids=lambda model: model.__name__)
def test_null_in_any_field_that_may_be_left_out_says_the_same(model: type[RequestModel]) -> None:
    schema = json_schema(model)
    least = sample(schema)
    assert least.keys() == set(schema.get("required", ()))
    for name in schema["properties"].keys() - least.keys():
        assert {"type": "null"} in schema["properties"][name]["anyOf"]
        assert model.model_validate({**least, name: None}) == model.model_validate(least)


def test_all_bodies_are_read_so(tmp_path: Path) -> None:
    app = create_app(ServerSettings(models=("none",), database=tmp_path / "photos.db"))
    described = {
        operation["requestBody"]["content"]["application/json"]["schema"].get("title"): path
        for path, methods in app.openapi()["paths"].items()
        for operation in methods.values()
        if "requestBody" in operation
    }
    assert len(described) == 6
    others = described.keys() - {model.__name__ for model in bodies()}
    assert [described[name] for name in others] == ["/v1/session"]  # whose only field must be there


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
