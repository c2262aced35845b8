"""POST /v1/similarity."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np

import clipwright
from clipwright.server.routes.similarity import SimilarityAnswer
from tests.server.routes.conftest import PHOTOS, StarterServer, data_uri

ROCKET, CHELSEA, COFFEE = (photo.read_bytes() for photo in PHOTOS)
TEXTS = ["a rocket", "a cat", "a cat"]


def post(server: StarterServer, **body: Any) -> httpx.Response:
    return server.serving.client.post("/v1/similarity", json=body)


def test_pictures_and_texts_have_the_cosines_that_a_program_gets(starter_server: StarterServer) -> None:
    answer = post(starter_server, images=[data_uri(ROCKET), data_uri(CHELSEA, "png")], texts=TEXTS)
    parsed = SimilarityAnswer.model_validate_json(answer.content)
    rows = [item.similarities or [] for item in parsed.data]
    assert [[cell.text for cell in row] for row in rows] == [TEXTS, TEXTS]
    np.testing.assert_allclose(
        np.array([[cell.similarity for cell in row] for row in rows]),
        clipwright.similarity(starter_server.embedder, [ROCKET, CHELSEA], TEXTS),
        atol=2e-6,
    )


def test_a_form_takes_files(starter_server: StarterServer) -> None:
    answer = starter_server.serving.client.post(
        "/v1/similarity", files=[("images", ("a.jpg", COFFEE, "image/jpeg"))], data={"texts": ["a cup of coffee"]}
    )
    assert len(answer.json()["data"][0]["similarities"]) == 1


def test_a_picture_that_fails_stands_in_its_place_where_that_is_asked(starter_server: StarterServer) -> None:
    images = [data_uri(b"nothing"), data_uri(ROCKET)]
    data = post(starter_server, images=images, texts=TEXTS, partial=True).json()["data"]
    assert data[0] == {"index": 0, "error": {"code": "not_an_image", "message": data[0]["error"]["message"]}}
    assert len(data[1]["similarities"]) == 3
    assert post(starter_server, images=images, texts=TEXTS).status_code == 422


def test_no_picture_may_be_left(starter_server: StarterServer) -> None:
    data = post(starter_server, images=[data_uri(b"nothing")], texts=TEXTS, partial=True).json()["data"]
    assert [item["error"]["code"] for item in data] == ["not_an_image"]


def test_a_text_that_cannot_be_used_fails_the_request_with_its_place(starter_server: StarterServer) -> None:
    answer = post(starter_server, images=[data_uri(ROCKET)], texts=["a", "b" * 8001], partial=True)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["code"], error["index"], error["param"]) == ("text_too_long", 1, "texts")
