"""POST /v1/classify."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np
import pytest

import clipwright
from clipwright.server.routes.classify import ClassifyAnswer
from tests.server.routes.conftest import PHOTOS, StarterServer, data_uri

ROCKET, CHELSEA, COFFEE = (photo.read_bytes() for photo in PHOTOS)
URIS = [data_uri(ROCKET), data_uri(CHELSEA, "png"), data_uri(COFFEE)]
LABELS = ["rocket", " cat ", "cup of coffee", "dog"]


def post(server: StarterServer, **body: Any) -> httpx.Response:
    return server.serving.client.post("/v1/classify", json=body)


def error_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    return error


@pytest.mark.parametrize(
    "options",
    [{}, {"unknown": True}, {"templates": ["a picture of a {}.", "{}"]}, {"unknown": True, "templates": ["{}"]}],
)
def test_pictures_get_the_labels_that_a_program_gets(starter_server: StarterServer, options: dict[str, Any]) -> None:
    answer = post(starter_server, images=URIS, labels=LABELS, **options)
    assert answer.status_code == 200, answer.text
    parsed = ClassifyAnswer.model_validate_json(answer.content)
    expected = clipwright.classify(starter_server.embedder, [ROCKET, CHELSEA, COFFEE], LABELS, **options)
    assert [item.index for item in parsed.data] == [0, 1, 2]
    for found, wanted in zip(parsed.data, expected, strict=True):
        assert found.labels is not None
        assert [score.label for score in found.labels] == [score.label for score in wanted.labels]
        for name in ("probability", "similarity"):
            np.testing.assert_allclose(
                [getattr(score, name) for score in found.labels],
                [getattr(score, name) for score in wanted.labels],
                atol=2e-4,
            )


def test_only_the_likeliest_labels_come_where_that_is_asked(starter_server: StarterServer) -> None:
    whole = post(starter_server, images=URIS[:1], labels=LABELS).json()["data"][0]["labels"]
    cut = post(starter_server, images=URIS[:1], labels=LABELS, top=2).json()["data"][0]["labels"]
    assert [score["label"] for score in cut] == [score["label"] for score in whole[:2]]


def test_many_labels_are_answered(starter_server: StarterServer) -> None:
    labels = [f"{number} things" for number in range(600)]
    answer = post(starter_server, images=URIS, labels=labels, partial=True)
    ClassifyAnswer.model_validate_json(answer.content)
    assert [len(item["labels"]) for item in answer.json()["data"]] == [600] * 3


@pytest.mark.parametrize("as_json", [True, False])
def test_a_form_takes_files_with_the_rest_as_json_or_as_fields(starter_server: StarterServer, as_json: bool) -> None:
    rest: dict[str, Any] = {"request": json.dumps({"labels": LABELS, "top": 1})}
    answer = starter_server.serving.client.post(
        "/v1/classify",
        files=[("images", ("a.jpg", ROCKET, "image/jpeg")), ("images", ("b.png", CHELSEA, "image/png"))],
        data=rest if as_json else {"labels": LABELS, "top": "1"},
    )
    assert answer.status_code == 200, answer.text
    assert [item["labels"][0]["label"] for item in answer.json()["data"]] == ["rocket", "cat"]


def test_a_photograph_of_the_index_is_classified(starter_server: StarterServer) -> None:
    photo = starter_server.photos["chelsea.png"]
    answer = post(starter_server, images=[f"photo:{photo}"], labels=LABELS)
    assert answer.json()["data"][0]["labels"][0]["label"] == "cat"


def test_a_picture_that_fails_stands_in_its_place_where_that_is_asked(starter_server: StarterServer) -> None:
    images = [URIS[0], data_uri(b"nothing"), "photo:99999", URIS[1]]
    answer = post(starter_server, images=images, labels=LABELS, partial=True)
    ClassifyAnswer.model_validate_json(answer.content)
    data = answer.json()["data"]
    assert [item.get("error", {}).get("code") for item in data] == [None, "not_an_image", "unknown_photo", None]
    assert ["labels" in item for item in data] == [True, False, False, True]
    assert data[1]["error"]["message"]


def test_a_picture_that_fails_fails_the_request(starter_server: StarterServer) -> None:
    error = error_of(post(starter_server, images=[URIS[0], data_uri(b"nothing")], labels=LABELS), 422)
    assert (error["code"], error["index"], error["param"]) == ("not_an_image", 1, "images")


@pytest.mark.parametrize(
    ("options", "status", "param", "message"),
    [
        ({"labels": []}, 400, "labels", "at least 1 item, not 0"),
        ({"labels": ["cat"]}, 422, None, "always get probability 1"),
        ({"labels": ["cat", "cat"]}, 422, None, "given twice"),
        ({"labels": ["none of these"], "unknown": True}, 422, None, "leave it out"),
        ({"labels": ["cat", ""]}, 422, "labels", "empty"),
        ({"labels": ["cat", 3]}, 400, "labels", "'labels[1]' should be a valid string"),
        ({"labels": "cat"}, 400, "labels", "'labels' should be a valid list"),
        ({"labels": ["a", "b"], "templates": ["a photo"]}, 422, None, "{}"),
        ({"labels": ["a", "b"], "templates": []}, 400, "templates", "at least 1 item, not 0"),
        ({"labels": ["a", "b"], "top": 0}, 400, "top", "greater than or equal to 1"),
        ({"labels": ["a", "b"], "top": "2"}, 400, "top", "valid integer"),
        ({"labels": ["a", "b"], "images": []}, 400, "images", "at least 1 item, not 0"),
        ({"labels": ["a", "b"], "image": "x"}, 400, "image", "did you mean 'images'"),
        ({}, 400, "labels", "missing"),
        ({"labels": [f"{number}" for number in range(1001)]}, 400, "labels", "the limit is 1,000"),
        ({"labels": ["a", "b"], "templates": ["{}"] * 1025}, 400, "templates", "the limit is 1,024"),
    ],
)
def test_a_wrong_request_is_refused_with_a_sentence(
    starter_server: StarterServer, options: dict[str, Any], status: int, param: str | None, message: str
) -> None:
    error = error_of(post(starter_server, **{"images": URIS[:1], **options}), status)
    assert error["param"] == param
    assert message in error["message"]
