"""What well-meaning clients of a server send, in the proportions of a busy day, and whether the answer is right."""

from __future__ import annotations

import base64
import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from http_exchange import Answer, form, request_bytes
from serving_inputs import jpegs, sentences, vectors_of

_SIDES = (64, 224, 375)
_FORMATS = ("JPEG", "JPEG", "JPEG", "PNG", "WEBP", "GIF")


@dataclass(frozen=True)
class Good:
    """A request, and what its answer must be."""

    kind: str
    request: bytes
    right: Callable[[Answer], bool]
    statuses: tuple[int, ...] = (200,)


class GoodRequests:
    """Makes them, for one server. photographs: ids in its index."""

    def __init__(self, port: int, photographs: tuple[int, ...], seed: int = 0) -> None:
        self._port, self._photographs = port, photographs
        self._random = random.Random(seed)
        self._sentences = sentences(5000, seed)
        small = [picture for side in _SIDES for picture in jpegs(12, side, seed)]
        self._pictures = [*small, *(_again(picture, self._random) for picture in small), _large(small[-1])]
        self._kinds = [self._texts] * 6 + [self.pictures] * 6 + [self._upload] * 2 + [self._classify] * 2
        self._kinds += [self._similarity, self._partial, self._look]
        if photographs:
            self._kinds += [self._search] * 3 + [self._search_by_picture, self._photograph]

    def one(self) -> Good:
        return self._random.choice(self._kinds)()

    def update(self) -> Good:
        """Has the index brought up to date; 409 says that it is being so already."""
        request = self._post("/v1/index", {})
        return Good("updates", request, lambda answer: "id" in answer.json() or answer.status == 409, (202, 409))

    def _post(self, path: str, content: object) -> bytes:
        return request_bytes("POST", path, self._port, json.dumps(content).encode())

    def _some_pictures(self, most: int) -> list[bytes]:
        return self._random.choices(self._pictures, k=self._random.randint(1, most))

    def _some_sentences(self, most: int) -> list[str]:
        return self._random.sample(self._sentences, self._random.randint(1, most))

    def _texts(self) -> Good:
        texts = self._some_sentences(8)
        encoding = self._random.choice(("float", "base64"))
        request = self._post("/v1/embeddings", {"input": texts, "encoding_format": encoding})
        return Good("texts", request, lambda answer: _unit_rows(answer, len(texts)))

    def pictures(self) -> Good:
        pictures = self._some_pictures(4)
        request = self._post("/v1/embeddings", {"input": [_uri(p) for p in pictures], "encoding_format": "base64"})
        return Good("pictures", request, lambda answer: _unit_rows(answer, len(pictures)))

    def _upload(self) -> Good:
        pictures = self._some_pictures(4)
        body, header = form(("input", f"{number}.jpg", picture) for number, picture in enumerate(pictures))
        request = request_bytes("POST", "/v1/embeddings", self._port, body, header)
        return Good("uploads", request, lambda answer: _unit_rows(answer, len(pictures)))

    def _classify(self) -> Good:
        pictures, labels = self._some_pictures(3), [*self._some_sentences(6), "a cat", "a dog"]
        request = self._post("/v1/classify", {"images": [_uri(picture) for picture in pictures], "labels": labels})

        def right(answer: Answer) -> bool:
            rows = answer.json()["data"]
            sums = [sum(label["probability"] for label in row["labels"]) for row in rows]
            return len(rows) == len(pictures) and all(abs(total - 1) < 1e-3 for total in sums)

        return Good("classify", request, right)

    def _similarity(self) -> Good:
        pictures, texts = self._some_pictures(2), self._some_sentences(4)
        request = self._post("/v1/similarity", {"images": [_uri(picture) for picture in pictures], "texts": texts})

        def right(answer: Answer) -> bool:
            rows = answer.json()["data"]
            return len(rows) == len(pictures) and all(len(row["similarities"]) == len(texts) for row in rows)

        return Good("similarity", request, right)

    def _partial(self) -> Good:
        """Good pictures among bad ones, with the wish to have what can be had."""
        pictures = [self._pictures[0], b"not a picture", self._pictures[1], self._pictures[2][:900]]
        content = {"input": [_uri(picture) for picture in pictures], "partial": True, "encoding_format": "base64"}

        def right(answer: Answer) -> bool:
            record = answer.json()
            places = [item["index"] for item in record["data"]]
            return places == [0, 2] and [fault["index"] for fault in record["errors"]] == [1, 3]

        return Good("partial", self._post("/v1/embeddings", content), right)

    def _look(self) -> Good:
        path = self._random.choice(("/healthz", "/v1/models", "/metrics", "/readyz", "/v1/index", "/openapi.json", "/"))
        return Good("look", request_bytes("GET", path, self._port), lambda answer: bool(answer.body))

    def _search(self) -> Good:
        words = self._random.choice(
            (self._random.choice(self._sentences).rstrip("."), "a dog", "a boat AND NOT a person")
        )
        content = self._random.choice(
            ({"query": words, "limit": 10}, {"limit": 10}, {"like": self._random.choice(self._photographs), "limit": 5})
        )
        return Good("search", self._post("/v1/search", content), self._hits)

    def _search_by_picture(self) -> Good:
        body, header = form(
            [
                ("request", None, json.dumps({"query": "upload:mine + at night", "limit": 10}).encode()),
                ("mine", "beach.jpg", self._random.choice(self._pictures)),
            ]
        )
        return Good("search", request_bytes("POST", "/v1/search", self._port, body, header), self._hits)

    def _hits(self, answer: Answer) -> bool:
        return all(hit["id"] in self._photographs for hit in answer.json()["data"])

    def _photograph(self) -> Good:
        what = self._random.choice(("", "/thumbnail", "/picture?side=300"))
        path = f"/v1/photos/{self._random.choice(self._photographs)}{what}"
        return Good("photographs", request_bytes("GET", path, self._port), lambda answer: bool(answer.body))


def _unit_rows(answer: Answer, count: int) -> bool:
    vectors = vectors_of(answer.json())
    return len(vectors) == count and bool(np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3))


def _uri(picture: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(picture).decode()


def _again(picture: bytes, generator: random.Random) -> bytes:
    """The picture in another format."""
    file = io.BytesIO()
    Image.open(io.BytesIO(picture)).save(file, generator.choice(_FORMATS))
    return file.getvalue()


def _large(picture: bytes) -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(picture)).resize((1600, 1200)).save(file, "JPEG", quality=85)
    return file.getvalue()
