"""Searches over HTTP, of a real index and with a real model."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import clipwright
from clipwright.checkpoints.model_file import save_model
from clipwright.server.requests.pictures import embed_pictures
from clipwright.server.services import Services
from clipwright.server.settings import ServerSettings
from tests.server.indexed_photos import (
    NAMES,
    PICTURES,
    IndexedPhotos,
    index_photographs,
    names_of,
    picture,
    strings_in,
    write_photographs,
)
from tests.server.serving import Serving, serving
from tests.support import tiny_checkpoint


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> IndexedPhotos:
    folder = tmp_path_factory.mktemp("search")
    made = IndexedPhotos(folder / "trip", folder / "photos.db")
    write_photographs(made.folder)
    index_photographs(made)
    return made


@pytest.fixture(scope="module")
def server(photos: IndexedPhotos) -> Iterator[Serving]:
    with serving(photos.settings(update=False)) as running:
        yield running


def found(server: Serving, **asked: Any) -> dict[str, Any]:
    answer = server.client.post("/v1/search", json=asked)
    assert answer.status_code == 200, answer.text
    whole: dict[str, Any] = answer.json()
    return whole


def refused(server: Serving, **asked: Any) -> tuple[int, dict[str, Any]]:
    answer = server.client.post("/v1/search", json=asked)
    error: dict[str, Any] = answer.json()["error"]
    return answer.status_code, error


def data_uri(name: str) -> str:
    path = PICTURES / name
    kind = "png" if path.suffix == ".png" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def test_words_find_the_photograph_that_they_describe(server: Serving) -> None:
    answer = found(server, query="a cat")
    assert names_of(answer)[0] == "cat.jpg"
    assert (answer["object"], answer["model"], answer["order"]) == ("list", "starter", "relevance")
    similarities = [hit["similarity"] for hit in answer["data"]]
    assert similarities == sorted(similarities, reverse=True)
    assert all(0 <= hit["relevance"] <= 1 for hit in answer["data"])


def test_a_hit_says_what_is_known_of_the_photograph_but_not_where_it_lies(
    server: Serving, photos: IndexedPhotos
) -> None:
    (hit,) = found(server, query="a cat", limit=1)["data"]
    id_ = photos.ids()["cat.jpg"]
    expected = {
        "id": id_, "name": "cat.jpg", "width": 451, "height": 300, "format": "JPEG", "taken": "2021-07-04T18:30:05",
        "camera": "Canon EOS 5D", "lens": None, "bytes": (photos.folder / "cat.jpg").stat().st_size, "offline": False,
        "picture": f"/v1/photos/{id_}/picture", "folded": [],
    }  # fmt: skip
    assert {name: hit[name] for name in expected} == expected
    assert (hit["latitude"], hit["longitude"]) == pytest.approx((52.52, 13.405))
    assert hit["thumbnail"].startswith(f"/v1/photos/{id_}/thumbnail?v=")
    assert not [text for text in strings_in(hit) if str(photos.folder.parent) in text]


def test_what_is_like_a_photograph_is_not_that_photograph(server: Serving, photos: IndexedPhotos) -> None:
    answer = found(server, like=photos.ids()["cat.jpg"])
    assert sorted(names_of(answer)) == sorted(set(NAMES) - {"cat.jpg"})
    assert answer["model"] is None


@pytest.mark.parametrize("unknown", [0, -1, 999_999, 2**63 - 1, -(2**63) + 1])
def test_nothing_is_like_a_photograph_that_is_not_there(server: Serving, unknown: int) -> None:
    status, error = refused(server, like=unknown)
    assert (status, error["code"]) == (404, "unknown_photo")


def test_an_id_beyond_all_numbers_is_refused(server: Serving) -> None:
    assert refused(server, like=2**63)[0] == 400
    answer = server.client.post(
        "/v1/search", content=b'{"like": 1' + b"0" * 5000 + b"}", headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    assert refused(server, query="photo:9999999999999999999 + red")[1]["code"] == "invalid_query"


def test_a_picture_of_the_request_finds_itself(server: Serving) -> None:
    answer = found(server, query="upload:mine", uploads={"mine": data_uri("coffee.jpg")})
    assert names_of(answer)[0] == "coffee.jpg"
    assert answer["data"][0]["similarity"] > 0.95


def test_a_form_brings_pictures_as_files(server: Serving) -> None:
    answer = server.client.post(
        "/v1/search",
        data={"request": json.dumps({"query": "upload:mine + 0.1:night", "limit": 1})},
        files={"mine": ("rocket.jpg", (PICTURES / "rocket.jpg").read_bytes())},
    )
    assert answer.status_code == 200, answer.text
    assert names_of(answer.json()) == ["rocket.jpg"]


def test_words_pictures_and_photographs_are_combined(server: Serving, photos: IndexedPhotos) -> None:
    ids = photos.ids()
    query = f"upload:mine + photo:{ids['cat.jpg']} - a cup OR NOT a cat"
    answer = found(server, query=query, uploads={"mine": data_uri("coffee.jpg")})
    assert sorted(names_of(answer)) == sorted(NAMES)


def test_a_model_that_becomes_another_one_while_a_query_is_embedded_is_noticed(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its words would be searched for among vectors of another space."""
    path = tmp_path / "model.safetensors"
    shutil.copy(tiny_model, path)
    (tmp_path / "photos").mkdir()
    shutil.copy(PICTURES / "coffee.jpg", tmp_path / "photos")
    with clipwright.PhotoIndex.open(tmp_path / "photos.db") as index:
        index.update([tmp_path / "photos"], clipwright.load(path))
    checkpoint = tiny_checkpoint()
    scale = np.add(np.asarray(checkpoint.weights["logit_scale"]), 1)
    other = replace(checkpoint, weights={**checkpoint.weights, "logit_scale": scale})

    async def reload_first(services: Services, *rest: Any, **more: Any) -> Any:
        save_model(path, other)
        await services.models.reload("model")
        return await embed_pictures(services, *rest, **more)

    monkeypatch.setattr("clipwright.server.routes.search.embed_pictures", reload_first)
    settings = ServerSettings(models=(str(path),), database=tmp_path / "photos.db", update=False)
    with serving(settings) as running:
        status, error = refused(running, query="a cat + upload:a", uploads={"a": data_uri("coffee.jpg")})
        assert (status, error["code"]) == (409, "model_not_in_index")


def test_an_upload_that_is_not_there_is_refused_by_name(server: Serving) -> None:
    status, error = refused(server, query="upload:mine")
    assert (status, error["code"], error["param"]) == (400, "invalid_query", "uploads")
    assert "'mine'" in error["message"]


def test_an_upload_that_is_no_picture_is_refused_with_the_reason(server: Serving) -> None:
    text = "data:image/png;base64," + base64.b64encode(b"Dear diary").decode()
    status, error = refused(server, query="upload:mine", uploads={"mine": text})
    assert (status, error["code"]) == (422, "not_an_image")


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("", "empty"),
        ("(cat OR dog", "character 1"),
        ("cat -dog", "'-' needs a space"),
        ("/etc/passwd", "take no files"),
        ("https://example.org/cat.jpg", "take no addresses"),
        ("file:cat.jpg", "take no files"),
        ("cat - cat", "adds up to nothing"),
        ("x" * 2001, "2,001 characters"),
    ],
)
def test_a_query_that_cannot_be_read_is_answered_with_a_sentence(server: Serving, query: str, part: str) -> None:
    status, error = refused(server, query=query)
    assert (status, error["code"]) == (400, "invalid_query")
    assert part in error["message"]


@pytest.mark.parametrize(
    "asked",
    [
        {"query": "cat", "like": 1},
        {"query": 7},
        {"query": "cat", "limit": 0},
        {"query": "cat", "limit": 1001},
        {"query": "cat", "limit": 600, "offset": 500},
        {"query": "cat", "offset": -1},
        {"query": "cat", "threshold": 2},
        {"query": "cat", "limit": "5"},
        {"query": "cat", "unknown": 1},
        {"query": "cat", "filters": {"path": "/etc/*"}},
        {"query": "cat", "filters": {"after": "yesterday"}},
        {"query": "cat", "filters": {"near": {"latitude": 91, "longitude": 0, "kilometres": 1}}},
        {"query": "cat", "filters": {"near": {"latitude": 0, "longitude": 0, "kilometres": 0}}},
        {"query": "cat", "filters": {"near": {"latitude": 0, "longitude": 0}}},
        {"query": "cat", "uploads": {"a": 1}},
    ],
)
def test_a_search_that_makes_no_sense_is_refused(server: Serving, asked: dict[str, Any]) -> None:
    status, error = refused(server, **asked)
    assert status == 400
    assert error["message"]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"after": "2021"}, {"cat.jpg", "coffee.jpg"}),
        ({"before": "2021-07-04T18:30"}, {"astronaut.jpg"}),
        ({"camera": "canon"}, {"astronaut.jpg", "cat.jpg"}),
        ({"near": {"latitude": 52.5, "longitude": 13.4, "kilometres": 25}}, {"cat.jpg"}),
        ({"min_megapixels": 0.2}, {"astronaut.jpg", "coffee.jpg", "rocket.jpg"}),
        ({"lens": "50 mm"}, set()),
        ({"after": "2020", "camera": "nikon"}, {"coffee.jpg"}),
        ({}, set(NAMES)),
    ],
)
def test_filters_hold_for_searches_and_for_the_newest(
    server: Serving, filters: dict[str, Any], names: set[str]
) -> None:
    for asked in ({"query": "a photo"}, {}):
        assert set(names_of(found(server, filters=filters, **asked))) == names


def test_without_a_query_the_newest_come_first_and_those_without_a_date_last(server: Serving) -> None:
    answer = found(server)
    assert names_of(answer) == ["coffee.jpg", "cat.jpg", "astronaut.jpg", "rocket.jpg"]
    assert (answer["order"], answer["model"]) == ("newest", None)
    assert {(hit["similarity"], hit["relevance"]) for hit in answer["data"]} == {(None, None)}


@pytest.mark.parametrize(
    "asked", [{}, {"query": "a photo"}, {"query": "a cat OR a cup"}, {"query": "x", "unique": True}]
)
def test_pages_are_parts_of_one_list(server: Serving, asked: dict[str, Any]) -> None:
    whole = names_of(found(server, **asked))
    pages = [name for offset in range(0, 6, 2) for name in names_of(found(server, limit=2, offset=offset, **asked))]
    assert pages == whole


def test_the_newest_may_be_paged_beyond_a_thousand(server: Serving) -> None:
    assert found(server, offset=5000)["data"] == []


def test_a_threshold_drops_what_is_less_relevant(server: Serving) -> None:
    all_of_them = found(server, query="a cat")["data"]
    best = all_of_them[0]["relevance"]
    assert [hit["id"] for hit in found(server, query="a cat", threshold=best)["data"]] == [all_of_them[0]["id"]]


def test_a_model_that_is_not_served_is_refused(server: Serving) -> None:
    status, error = refused(server, query="a cat", model="other")
    assert (status, error["code"]) == (404, "unknown_model")


def test_only_json_and_forms_are_read(server: Serving) -> None:
    answer = server.client.post("/v1/search", content=b"{}", headers={"content-type": "text/plain"})
    assert answer.status_code == 415


def test_a_model_whose_vectors_the_index_has_not_is_refused_with_the_way_out(
    photos: IndexedPhotos, tiny_model: Path
) -> None:
    with serving(photos.settings(models=(str(tiny_model),), update=False)) as running:
        status, error = refused(running, query="a cat")
        assert (status, error["code"]) == (409, "model_not_in_index")
        assert "made with starter" in error["message"]
        assert str(tiny_model.parent) not in error["message"]
        index = running.client.get("/v1/index").json()
        assert (index["searchable"], index["reason"], index["model"]) == (False, error["message"], None)
        # What needs no model is answered all the same.
        assert len(found(running)["data"]) == len(NAMES)
        assert len(found(running, like=photos.ids()["cat.jpg"])["data"]) == len(NAMES) - 1


def test_near_identical_shots_are_folded_where_that_is_asked(tmp_path: Path) -> None:
    photos = IndexedPhotos(tmp_path / "trip", tmp_path / "photos.db")
    write_photographs(photos.folder)
    for quality in (60, 80):
        picture("rocket.jpg").save(photos.folder / f"rocket again {quality}.jpg", quality=quality)
    index_photographs(photos)
    with serving(photos.settings(update=False)) as running:
        apart = found(running, query="a rocket")
        folded = found(running, query="a rocket", unique=True)
        assert len(apart["data"]) == 6
        (rocket,) = [hit for hit in folded["data"] if hit["name"].startswith("rocket")]
        assert len(rocket["folded"]) == 2
        assert {photo["name"] for photo in rocket["folded"]} | {rocket["name"]} == {
            name for name in names_of(apart) if name.startswith("rocket")
        }
        assert not [text for text in strings_in(folded) if str(tmp_path) in text]


def test_searches_side_by_side_are_answered_as_one_by_one(server: Serving) -> None:
    asked = [{"query": f"a cat and {number} cups", "unique": bool(number % 2)} for number in range(24)]
    one_by_one = [names_of(found(server, **each)) for each in asked]

    def ask(each: dict[str, Any]) -> list[str]:
        with httpx.Client(base_url=server.address, trust_env=False, timeout=120) as client:
            return names_of(client.post("/v1/search", json=each).json())

    with ThreadPoolExecutor(12) as threads:
        assert list(threads.map(ask, asked)) == one_by_one
