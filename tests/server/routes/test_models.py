from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clipwright.server.settings import ServerSettings
from tests.server.models.fake_models import FakeFile
from tests.server.serving import Serving, serving


@pytest.fixture
def other(tmp_path: Path) -> FakeFile:
    return FakeFile(tmp_path / "other.json", space=2)


@pytest.fixture
def server(tmp_path: Path, model: FakeFile, other: FakeFile) -> Iterator[Serving]:
    settings = ServerSettings(models=(str(model.path), str(other.path)), database=tmp_path / "photos.db")
    with serving(settings) as running:
        yield running


def test_models_are_listed_in_openai_s_shape_with_facts(server: Serving, tmp_path: Path) -> None:
    answer = server.client.get("/v1/models")
    listed = answer.json()
    assert listed["object"] == "list"
    assert [(model["id"], model["object"], model["owned_by"]) for model in listed["data"]] == [
        ("fake", "model", "clipwright"),
        ("other", "model", "clipwright"),
    ]
    first, second = listed["data"]
    assert (first["default"], first["open"], second["default"], second["open"]) == (True, True, False, False)
    assert (first["facts"]["space_id"], first["facts"]["embed_dim"], first["facts"]["image_size"]) == ("1", 4, 8)
    assert second["facts"] is None
    assert str(tmp_path) not in answer.text


def test_asking_for_a_model_opens_it(server: Serving) -> None:
    shown = server.client.get("/v1/models/other").json()
    assert (shown["id"], shown["open"], shown["facts"]["space_id"]) == ("other", True, "2")


@pytest.mark.parametrize("name", ["nobody", "openai/clip-vit-base-patch32", "../fake", "fake/reload"])
def test_an_unknown_model_is_a_404_in_json(server: Serving, name: str) -> None:
    answer = server.client.get(f"/v1/models/{name.replace('..', '%2e%2e')}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] in ("unknown_model", "not_found")


def test_a_model_is_opened_anew_on_request(server: Serving, model: FakeFile, tmp_path: Path) -> None:
    model.write(space=7)
    assert server.client.post("/v1/models/fake/reload").json()["facts"]["space_id"] == "7"
    model.write()
    answer = server.client.post("/v1/models/fake/reload")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_unavailable")
    assert str(tmp_path) not in answer.text
    assert server.client.get("/v1/models/fake").json()["facts"]["space_id"] == "7"
    assert server.client.post("/v1/models/nobody/reload").status_code == 404
