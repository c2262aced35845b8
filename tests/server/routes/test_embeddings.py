"""POST /v1/embeddings, as clients of OpenAI and others send it."""

from __future__ import annotations

import asyncio
import base64
import codecs
import json
from typing import Any

import httpx
import numpy as np
import openai
import pytest

import clipwright
from clipwright.server.routes.embeddings import EmbeddingsAnswer
from tests.server.routes.conftest import PHOTOS, StarterServer, data_uri

ROCKET, CHELSEA, COFFEE = (photo.read_bytes() for photo in PHOTOS)
TEXTS = ["a rocket on its launch pad", "a cat", "a cup of coffee on a table", "日本語"]
LONG = "word " * 200


def post(server: StarterServer, **body: Any) -> httpx.Response:
    return server.serving.client.post("/v1/embeddings", json=body)


def vectors_of(answer: httpx.Response) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    parsed = EmbeddingsAnswer.model_validate_json(answer.content)
    assert [item.index for item in parsed.data] == list(range(len(parsed.data)))
    return np.array([item.embedding for item in parsed.data], np.float32)


def error_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    return error


def client_of(server: StarterServer) -> openai.OpenAI:
    return openai.OpenAI(api_key="none", base_url=f"{server.serving.address}/v1", max_retries=0)


# OpenAI's own client


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_texts_have_the_vectors_that_the_model_gives_a_program(starter_server: StarterServer, encoding: Any) -> None:
    chosen = {} if encoding is None else {"encoding_format": encoding}
    with client_of(starter_server) as client:
        answer = client.embeddings.create(model="starter", input=TEXTS, **chosen)
    rows = [item.embedding for item in answer.data]
    if encoding == "base64":
        rows = [np.frombuffer(base64.b64decode(str(row)), "<f4").tolist() for row in rows]
    expected = starter_server.embedder.embed_texts(TEXTS)
    np.testing.assert_allclose(np.array(rows), expected, atol=2e-6)
    assert answer.model == "starter"
    assert [item.index for item in answer.data] == [0, 1, 2, 3]
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 4


def test_the_asynchronous_client_is_answered_alike(starter_server: StarterServer) -> None:
    async def ask() -> list[list[float]]:
        address = f"{starter_server.serving.address}/v1"
        async with openai.AsyncOpenAI(api_key="none", base_url=address, max_retries=0) as client:
            answers = await asyncio.gather(*(client.embeddings.create(model="starter", input=text) for text in TEXTS))
        return [answer.data[0].embedding for answer in answers]

    expected = starter_server.embedder.embed_texts(TEXTS)
    np.testing.assert_allclose(np.array(asyncio.run(ask())), expected, atol=2e-6)


def test_pictures_go_through_the_client_as_data_uris(starter_server: StarterServer) -> None:
    with client_of(starter_server) as client:
        answer = client.embeddings.create(
            model="starter",
            input=[data_uri(ROCKET), data_uri(CHELSEA, "png")],
            extra_body={"modality": "image"},
        )
    expected = starter_server.embedder.embed_images([ROCKET, CHELSEA])
    np.testing.assert_allclose(np.array([item.embedding for item in answer.data]), expected, atol=2e-6)
    assert answer.usage.prompt_tokens == 0


def test_the_client_raises_its_own_errors(starter_server: StarterServer) -> None:
    with client_of(starter_server) as client:
        with pytest.raises(openai.BadRequestError, match="token ids") as raised:
            client.embeddings.create(model="starter", input=[[1, 2, 3]])
        assert raised.value.code == "token_arrays_unsupported"
        with pytest.raises(openai.NotFoundError):
            client.embeddings.create(model="gpt", input="a")


def test_a_body_may_begin_with_the_mark_of_utf_8(starter_server: StarterServer) -> None:
    body = codecs.BOM_UTF8 + json.dumps({"input": "a cat"}).encode()
    answer = starter_server.serving.client.post(
        "/v1/embeddings", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 200


# texts and pictures


def test_texts_and_pictures_come_back_in_the_order_of_the_request(starter_server: StarterServer) -> None:
    items = [data_uri(CHELSEA, "png"), "a cat", data_uri(ROCKET), "a rocket"]
    images, texts = (
        starter_server.embedder.embed_images([CHELSEA, ROCKET]),
        starter_server.embedder.embed_texts(["a cat", "a rocket"]),
    )
    found = vectors_of(post(starter_server, input=items))
    np.testing.assert_allclose(found, np.stack([images[0], texts[0], images[1], texts[1]]), atol=2e-6)


def test_one_text_needs_no_list(starter_server: StarterServer) -> None:
    assert np.array_equal(
        vectors_of(post(starter_server, input="a cat")), vectors_of(post(starter_server, input=["a cat"]))
    )


@pytest.mark.parametrize(
    "spelling",
    [
        "data:image/png;base64,{}",
        "DATA:IMAGE/PNG;BASE64,{}",
        "data:;base64,{}",
        "data:application/octet-stream;base64,{}",
        "data:image/png;charset=utf-8;base64,{}",
        " data:image/png;base64,{}",
        "\ndata:image/png;base64,{}\n",
        "{}",
    ],
)
def test_a_picture_in_letters_is_a_picture_however_it_is_spelt(starter_server: StarterServer, spelling: str) -> None:
    item = spelling.format(base64.b64encode(CHELSEA).decode())
    expected = starter_server.embedder.embed_images([CHELSEA])
    for said in ({}, {"modality": "image"}, {"modality": None}):
        np.testing.assert_allclose(vectors_of(post(starter_server, input=[item], **said)), expected, atol=2e-6)


@pytest.mark.parametrize(
    "write",
    [
        base64.encodebytes,
        lambda picture: base64.encodebytes(picture).replace(b"\n", b"\r\n"),
        base64.urlsafe_b64encode,
        lambda picture: base64.b64encode(picture).rstrip(b"="),
    ],
    ids=["lines", "lines of MIME", "for URLs", "no padding"],
)
def test_base64_may_have_lines_no_padding_or_the_letters_of_urls(starter_server: StarterServer, write: Any) -> None:
    pictures = [CHELSEA, CHELSEA + bytes(1), CHELSEA + bytes(2)]  # with each length of padding
    items = [form + write(picture).decode() for picture in pictures for form in ("data:image/png;base64,", "")]
    expected = starter_server.embedder.embed_images([CHELSEA] * len(items))
    np.testing.assert_allclose(vectors_of(post(starter_server, input=items)), expected, atol=2e-6)


def test_a_photograph_of_the_index_needs_no_modality(starter_server: StarterServer) -> None:
    name = f"photo:{starter_server.photos['rocket.jpg']}"
    expected = vectors_of(post(starter_server, input=[name], modality="image"))
    for written in (name, name.upper(), f"\n{name} "):
        assert np.array_equal(vectors_of(post(starter_server, input=[written])), expected)


UNCLEAR = ["https://example.org/cat.jpg", "cat.jpg", "photo: 1", "b'iVBORw0KGgoAAAANSUhEUgAA'"]


@pytest.mark.parametrize("item", UNCLEAR)
def test_what_could_be_a_text_or_a_picture_is_refused_with_what_to_say(
    starter_server: StarterServer, item: str
) -> None:
    error = error_of(post(starter_server, input=["a cat", item]), 422)
    assert (error["code"], error["param"], error["index"]) == ("invalid_request", "input", 1)
    assert '"modality": "text"' in error["message"]
    assert '"modality": "image"' in error["message"]


def test_where_the_rest_is_to_be_answered_only_what_is_unclear_fails(starter_server: StarterServer) -> None:
    body = post(starter_server, input=["", "cat.jpg", "a cat"], partial=True).json()
    assert [(error["index"], error["code"]) for error in body["errors"]] == [(0, "empty"), (1, "invalid_request")]
    assert [item["index"] for item in body["data"]] == [2]


def test_whatever_is_called_a_text_is_embedded_as_one(starter_server: StarterServer) -> None:
    texts = [*UNCLEAR, "photo:1", "data:image/png;base64,AAAA", "data:;base64,AAAA", " /9j/4AAQSkZJRgABAQAA"]
    expected = starter_server.embedder.embed_texts(texts)
    np.testing.assert_allclose(vectors_of(post(starter_server, input=texts, modality="text")), expected, atol=2e-6)


def test_null_is_what_is_left_out(starter_server: StarterServer) -> None:
    """As LiteLLM and others send it."""
    nothing = dict.fromkeys(("model", "encoding_format", "dimensions", "user", "modality", "partial"))
    assert post(starter_server, input="a cat", **nothing).json() == post(starter_server, input="a cat").json()


def test_a_photograph_of_the_index_has_the_vector_that_is_stored(starter_server: StarterServer) -> None:
    photo = starter_server.photos["rocket.jpg"]
    found = vectors_of(post(starter_server, input=[data_uri(COFFEE), f"photo:{photo}"], modality="image"))
    with clipwright.PhotoIndex.open(starter_server.serving.app.state.services.settings.database) as index:
        stored = index.vector(photo, starter_server.embedder.space_id)
    assert stored is not None
    np.testing.assert_array_equal(found[1], stored.astype(np.float32))


def test_files_of_a_form_are_embedded(starter_server: StarterServer) -> None:
    answer = starter_server.serving.client.post(
        "/v1/embeddings",
        files=[("input", ("a.jpg", ROCKET, "image/jpeg")), ("input", ("b", CHELSEA, "application/octet-stream"))],
        data={"model": "starter", "encoding_format": "float", "partial": "false", "dimensions": "256"},
    )
    expected = starter_server.embedder.embed_images([ROCKET, CHELSEA])
    np.testing.assert_allclose(vectors_of(answer), expected, atol=2e-6)


def test_a_form_may_hold_texts_beside_files(starter_server: StarterServer) -> None:
    answer = starter_server.serving.client.post(
        "/v1/embeddings", files=[("input", (None, "a cat")), ("input", ("a.jpg", ROCKET, "image/jpeg"))]
    )
    np.testing.assert_allclose(
        vectors_of(answer),
        np.vstack([starter_server.embedder.embed_texts(["a cat"]), starter_server.embedder.embed_images([ROCKET])]),
        atol=2e-6,
    )


def test_floats_are_written_to_their_last_bit(starter_server: StarterServer) -> None:
    floats = vectors_of(post(starter_server, input=TEXTS))
    encoded = post(starter_server, input=TEXTS, encoding_format="base64").json()["data"]
    rows = np.stack([np.frombuffer(base64.b64decode(item["embedding"]), "<f4") for item in encoded])
    np.testing.assert_allclose(floats, rows, atol=2e-6)
    alone = post(starter_server, input=TEXTS[0]).json()["data"][0]["embedding"]
    assert [float(np.float32(number)) for number in alone] == alone


def test_many_texts_are_answered_in_order(starter_server: StarterServer) -> None:
    texts = [f"{number} cats" for number in range(200)]
    found = vectors_of(post(starter_server, input=texts))
    np.testing.assert_allclose(found, starter_server.embedder.embed_texts(texts), atol=2e-6)


def test_dimensions_may_be_said_where_they_are_the_models(starter_server: StarterServer) -> None:
    assert vectors_of(post(starter_server, input="a", dimensions=256)).shape == (1, 256)
    error = error_of(post(starter_server, input="a", dimensions=100), 400)
    assert error["param"] == "dimensions"
    assert "256" in error["message"]


def test_a_text_that_the_model_cannot_read_to_its_end_is_named(starter_server: StarterServer) -> None:
    answer = post(starter_server, input=["a cat", LONG])
    assert answer.json()["truncated"] == [1]
    expected = starter_server.embedder.embed_texts([LONG])[0]
    np.testing.assert_allclose(vectors_of(answer)[1], expected, atol=2e-6)
    assert "truncated" not in post(starter_server, input=["a cat"]).json()


# what is refused


@pytest.mark.parametrize("tokens", [[1, 2, 3], [[1, 2], [3]], [[]], ["a", 5]])
def test_token_arrays_are_refused_by_name(starter_server: StarterServer, tokens: Any) -> None:
    error = error_of(post(starter_server, input=tokens), 400)
    assert error["code"] == "token_arrays_unsupported"
    assert error["param"] == "input"


@pytest.mark.parametrize(
    ("item", "code"),
    [
        (data_uri(b"no picture at all"), "not_an_image"),
        (data_uri(ROCKET[:3000]), "truncated"),
        (data_uri(b""), "empty"),
        ("data:image/png;base64,@@@@", "invalid_request"),
        ("data:image/png;base64,AAA", "not_an_image"),
        ("data:image/png;base64,A", "invalid_request"),
        ("data:image/png;base64,AA=", "invalid_request"),
        ("data:image/png;base64,AAAA====", "invalid_request"),
        ("data:image/png;base64,AA==AAAA", "invalid_request"),
        ("data:image/png;base64,AA AA", "invalid_request"),
        ("data:image/png;base64,AA\tAA", "invalid_request"),
        ("data:image/png;base64,AA\nAA", "not_an_image"),
        ("data:image/png;base64,AA-_", "not_an_image"),
        ("data:image/png;base64,Aäaa", "invalid_request"),
        ("data:image/png;base64,iVBORw0KGgo%3D", "invalid_request"),
        ("data:application/pdf;base64,JVBERi0=", "not_an_image"),
        ("data:image/png;base64,%41AAA", "invalid_request"),
        ("data:image/png,AAAA", "invalid_request"),
        ("data:image/png", "invalid_request"),
        ("data:image/" + "x" * 300 + ";base64,AAAA", "invalid_request"),
        ("data:image/svg+xml;base64," + base64.b64encode(b"<svg/>").decode(), "not_an_image"),
    ],
)
def test_a_picture_that_cannot_be_used_fails_the_request_with_its_place(
    starter_server: StarterServer, item: str, code: str
) -> None:
    error = error_of(post(starter_server, input=[data_uri(ROCKET), item]), 422)
    assert (error["code"], error["index"], error["param"]) == (code, 1, "input")


@pytest.mark.parametrize("item", ["photo:99999", "photo:", "photo:-1", "photo:1x", "photo:" + "9" * 30, "photo:²"])
def test_a_photograph_that_is_not_in_the_index_is_named(starter_server: StarterServer, item: str) -> None:
    error = error_of(post(starter_server, input=[item], modality="image"), 422)
    assert (error["code"], error["index"]) == ("unknown_photo", 0)


@pytest.mark.parametrize("item", ["/etc/passwd", "file:///etc/passwd", "C:\\a.png", "a cat", ""])
def test_no_other_string_names_a_picture(starter_server: StarterServer, item: str) -> None:
    error = error_of(post(starter_server, input=[item], modality="image"), 422)
    assert (error["code"], error["index"]) == ("invalid_request", 0)


@pytest.mark.parametrize("item", ["http://127.0.0.1/a.png", "HTTPS://example.org/a.png"])
def test_addresses_are_refused_unless_the_server_is_told_otherwise(starter_server: StarterServer, item: str) -> None:
    error = error_of(post(starter_server, input=[data_uri(ROCKET), item], modality="image"), 403)
    assert (error["code"], error["index"]) == ("url_refused", 1)


@pytest.mark.parametrize(
    ("text", "code"), [("", "empty"), (" \n", "empty"), ("a\0b", "invalid_request"), ("a" * 8001, "text_too_long")]
)
def test_a_text_that_cannot_be_used_fails_the_request_with_its_place(
    starter_server: StarterServer, text: str, code: str
) -> None:
    error = error_of(post(starter_server, input=["a cat", text]), 422)
    assert (error["code"], error["index"]) == (code, 1)


def test_all_items_that_cannot_be_used_are_listed(starter_server: StarterServer) -> None:
    error = error_of(post(starter_server, input=["", "a cat", "\0"]), 422)
    assert [(item["index"], item["code"]) for item in error["items"]] == [(0, "empty"), (2, "invalid_request")]


def test_partial_answers_what_can_be_and_lists_the_rest(starter_server: StarterServer) -> None:
    bad = data_uri(b"no picture")
    answer = post(starter_server, input=["a cat", "", bad, data_uri(ROCKET), "data:image/png,"], partial=True)
    assert answer.status_code == 200
    body = answer.json()
    assert [item["index"] for item in body["data"]] == [0, 3]
    assert [(error["index"], error["code"]) for error in body["errors"]] == [
        (1, "empty"),
        (2, "not_an_image"),
        (4, "invalid_request"),
    ]
    expected = starter_server.embedder.embed_images([ROCKET])[0]
    np.testing.assert_allclose(body["data"][1]["embedding"], expected, atol=2e-6)


def test_a_model_that_is_not_served_is_named(starter_server: StarterServer) -> None:
    error = error_of(post(starter_server, input="a", model="text-embedding-3-small"), 404)
    assert error["code"] == "unknown_model"
    assert "text-embedding-3-small" in error["message"]


def test_items_that_failed_are_counted_by_reason(starter_server: StarterServer) -> None:
    def counted(code: str) -> float:
        registry = starter_server.serving.app.state.services.metrics.registry
        return registry.get_sample_value("clipwright_failed_items_total", {"code": code}) or 0.0

    before = counted("text_too_long"), counted("too_large")
    post(starter_server, input=["a" * 8001, "a" * 9000])
    post(starter_server, input=["a" * 8001], partial=True)
    post(starter_server, input=[data_uri(bytes(21 * 2**20))])
    assert (counted("text_too_long") - before[0], counted("too_large") - before[1]) == (3, 1)
