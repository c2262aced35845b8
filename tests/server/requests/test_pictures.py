"""The pictures of requests: limits before anything is decoded, and addresses where a server fetches them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clipwright
from clipwright.server.rejection import ItemFault
from clipwright.server.requests import pictures
from clipwright.server.requests.web_fetch import WebFetcher
from clipwright.server.services import Services
from clipwright.server.settings import Limits, ModelSettings, ServerSettings
from tests.server.requests.test_web_fetch import Names, Site, answer, running
from tests.server.routes.conftest import PHOTOS, data_uri
from tests.server.serving import Serving, serving

ROCKET = PHOTOS[0].read_bytes()
LIMITS = Limits(
    picture_bytes=len(ROCKET), picture_pixels=500_000, pictures=3, texts=5, text_characters=100, labels=4,
    body_bytes=2**20, bodies_bytes=4 * 2**20,
)  # fmt: skip


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with running(Site()) as site:
        yield site


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, site: Site) -> Iterator[Serving]:
    """One with small limits that fetches pictures, of a site on this machine only."""
    settings = ServerSettings(
        models=(str(tiny_model),),
        database=tmp_path_factory.mktemp("served") / "photos.db",
        limits=LIMITS,
        fetch_urls=True,
        model=ModelSettings(backend="onnx", precision="fp32"),
    )
    with serving(settings) as server:
        services: Services = server.app.state.services
        vars(services)["web"] = WebFetcher(
            LIMITS,
            resolve=Names(["127.0.0.1"]),
            is_allowed=lambda address: address == ip_address("127.0.0.1"),
            ports=[site.port],
        )
        yield server


def error_of(server: Serving, path: str, status: int, **body: Any) -> dict[str, Any]:
    answered = server.client.post(path, json=body)
    assert answered.status_code == status, answered.text
    error: dict[str, Any] = answered.json()["error"]
    return error


# limits


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "param", "index"),
    [
        ("embeddings", {"input": [data_uri(ROCKET)] * 4}, 400, "too_many_items", "input", None),
        ("embeddings", {"input": ["a"] * 6}, 400, "too_many_items", "input", None),
        ("embeddings", {"input": ["a", "b" * 101]}, 422, "text_too_long", "input", 1),
        ("embeddings", {"input": ["a", data_uri(ROCKET + b"x")]}, 422, "too_large", "input", 1),
        ("embeddings", {"input": ["a", data_uri(ROCKET * 9)]}, 422, "too_large", "input", 1),
        ("classify", {"images": ["photo:1"] * 4, "labels": ["a", "b"]}, 400, "too_many_items", "images", None),
        ("classify", {"images": ["photo:1"], "labels": [*"abcde"]}, 400, "too_many_items", "labels", None),
        ("classify", {"images": ["photo:1"], "labels": ["a", "b" * 101]}, 422, "text_too_long", "labels", 1),
        (
            "classify",
            {"images": ["photo:1"], "labels": [*"abc"], "templates": ["{}", "a {}"]},
            400,
            "too_many_items",
            "templates",
            None,
        ),
        ("similarity", {"images": ["photo:1"], "texts": [*"abcdef"]}, 400, "too_many_items", "texts", None),
        ("similarity", {"images": ["photo:1"] * 4, "texts": ["a"]}, 400, "too_many_items", "images", None),
    ],
)
def test_what_is_beyond_a_limit_is_refused_before_any_model_sees_it(
    server: Serving,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    body: dict[str, Any],
    status: int,
    code: str,
    param: str,
    index: int | None,
) -> None:
    async def never(*_: Any, **__: Any) -> None:
        pytest.fail("a model was asked")

    monkeypatch.setattr(server.app.state.services.models, "embed_pictures", never)
    monkeypatch.setattr(server.app.state.services.models, "embed_texts", never)
    error = error_of(server, f"/v1/{path}", status, **body)
    assert (error["code"], error["param"], error["index"]) == (code, param, index)


def test_a_picture_of_just_the_limit_is_taken(server: Serving) -> None:
    assert server.client.post("/v1/embeddings", json={"input": data_uri(ROCKET)}).status_code == 200


def test_line_ends_do_not_count_as_bytes_of_a_picture(server: Serving) -> None:
    lines = base64.encodebytes(ROCKET).decode()
    assert server.client.post("/v1/embeddings", json={"input": lines}).status_code == 200
    more = base64.encodebytes(ROCKET + b"x").decode()
    assert error_of(server, "/v1/embeddings", 422, input=more)["code"] == "too_large"


@pytest.mark.parametrize("block", [1, 3, 4, 7, 80])
def test_base64_is_the_same_however_it_is_cut_into_blocks(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(pictures, "_BLOCK", block)
    for length in range(7):
        content = bytes(range(250, 250 + length % 6)) * 30
        for letters in (base64.b64encode(content), base64.urlsafe_b64encode(content), base64.encodebytes(content)):
            for written in (letters.decode().strip(), letters.decode().strip().rstrip("=")):
                assert pictures._data("data:image/png;base64," + written, 0, 10**6) == content
    for garbage in (
        "A",
        "AAAAA",
        "AA=",
        "AA=A",
        "AA==AAAA",
        "AAAA====",
        "=",
        "====",
        "AA AA",
        "A\0AA",
        "AA%3D",
        "AAé=",
    ):
        assert isinstance(pictures._data("data:image/png;base64," + garbage, 0, 10**6), ItemFault), garbage


def test_base64_may_be_indented_as_in_yaml() -> None:
    content = bytes(range(256))
    indented = "\n      ".join(base64.encodebytes(content).decode().splitlines())
    for begin in ("data:image/png;base64,", "data:image/png;base64, ", "data:image/png;base64,\n\t"):
        assert pictures._data(begin + indented, 0, 10**6) == content


def test_a_file_of_a_form_has_the_same_limit(server: Serving) -> None:
    files = [("input", ("a", ROCKET, "image/jpeg")), ("input", ("b", ROCKET + b"x", "image/jpeg"))]
    answered = server.client.post("/v1/embeddings", files=files)
    assert answered.status_code == 422
    assert (answered.json()["error"]["code"], answered.json()["error"]["index"]) == ("too_large", 1)


def test_a_picture_of_too_many_pixels_fails_alone(server: Serving) -> None:
    from tests.inputs.pictures import png

    bomb = data_uri(png(60_000, 60_000, 8, 2, b""), "png")
    body = server.client.post("/v1/embeddings", json={"input": [bomb, data_uri(ROCKET)], "partial": True}).json()
    assert [(error["index"], error["code"]) for error in body["errors"]] == [(0, "too_large")]
    assert [item["index"] for item in body["data"]] == [1]


def test_a_large_data_uri_is_decoded_whole(server: Serving, tiny_model: Path) -> None:
    large = ROCKET[:-2] + bytes(1)  # still a JPEG, and no multiple of three
    limits = replace(LIMITS, picture_bytes=8 * 2**20, body_bytes=16 * 2**20, bodies_bytes=64 * 2**20)
    settings = replace(server.app.state.services.settings, limits=limits)
    padded = large + bytes(3_000_001)
    with serving(settings) as other:
        answers = [
            other.client.post("/v1/embeddings", json={"input": data_uri(picture)}).json()["data"][0]["embedding"]
            for picture in (large, padded)
        ]
        cut = "data:image/jpeg;base64," + base64.b64encode(padded[: 3 * 2**18 - 1]).decode() + "AAAA"
        assert error_of(other, "/v1/embeddings", 422, input=cut)["code"] == "invalid_request"
    assert answers[0] == answers[1]


# addresses


def test_a_picture_is_fetched_and_embedded(server: Serving, site: Site, tiny_model: Path) -> None:
    site.handle = lambda request: answer(request, body=ROCKET)
    body = {"input": [data_uri(ROCKET), site.url()], "modality": "image"}
    data = server.client.post("/v1/embeddings", json=body).json()["data"]
    expected = clipwright.load(tiny_model, pixels="fast").embed_images([ROCKET])[0]
    np.testing.assert_allclose(data[0]["embedding"], expected, atol=2e-6)
    np.testing.assert_allclose(data[1]["embedding"], expected, atol=2e-6)


def test_an_address_that_fails_fails_alone(server: Serving, site: Site) -> None:
    site.handle = lambda request: answer(request, 404 if request.path == "/lost" else 200, body=ROCKET)
    images = [site.url("/lost"), site.url(), "http://10.0.0.1/", "https://user@pictures.example/"]
    labels = {"labels": ["a", "b"], "partial": True}
    data = server.client.post("/v1/classify", json={"images": images[:3], **labels}).json()["data"]
    assert [item.get("error", {}).get("code") for item in data] == ["url_failed", None, "url_refused"]
    error = error_of(server, "/v1/classify", 422, images=[images[1], images[3]], labels=["a", "b"])
    assert (error["code"], error["index"]) == ("url_refused", 1)


def test_what_is_fetched_and_no_picture_fails_as_any_other(server: Serving, site: Site) -> None:
    site.handle = lambda request: answer(request, body=b"no picture")
    error = error_of(server, "/v1/classify", 422, images=[site.url()], labels=["a", "b"])
    assert (error["code"], error["index"]) == ("not_an_image", 0)


def test_fetched_pictures_have_the_same_limit_of_bytes(server: Serving, site: Site) -> None:
    site.handle = lambda request: answer(request, body=ROCKET + b"x")
    error = error_of(server, "/v1/classify", 422, images=[site.url()], labels=["a", "b"])
    assert (error["code"], error["index"]) == ("too_large", 0)


def test_an_address_is_fetched_only_where_it_is_said_to_be_a_picture(server: Serving, site: Site) -> None:
    asked = len(site.asked)
    assert error_of(server, "/v1/embeddings", 422, input=["a", site.url("/a.jpg")])["index"] == 1
    body = {"input": site.url(), "modality": "text"}
    assert server.client.post("/v1/embeddings", json=body).status_code == 200
    assert len(site.asked) == asked
