"""Requests to measure servers with: sentences and pictures that differ, as bodies of POST /v1/embeddings."""

from __future__ import annotations

import base64
import io
import json
import random
from collections.abc import Iterator

import numpy as np
from PIL import Image

from clipwright.evaluation.sample_inputs import CAPTIONS, SMALL_SIZE, photograph

SIDE = 224
"""Pixels of a picture's sides: what ViT-B/32 reads, so that nothing is scaled."""


def sentences(count: int, seed: int = 0) -> list[str]:
    """Made-up captions of 8 to 16 words, no two alike: the beginning of one, the end of another, and a number."""
    generator = random.Random(seed)
    made: dict[str, None] = {}
    while len(made) < count:
        first, second = (generator.choice(CAPTIONS).rstrip(".").split() for _ in range(2))
        made[" ".join([*first[: len(first) // 2], *second[len(second) // 2 :], str(generator.randrange(10_000))])] = (
            None
        )
    return list(made)


def jpegs(count: int, side: int = SIDE, seed: int = 0) -> list[bytes]:
    """JPEGs of side x side, quality 90, no two alike: parts of a made-up photograph, some mirrored, each lit anew."""
    generator = np.random.default_rng(seed)
    whole = np.asarray(Image.open(io.BytesIO(photograph(SMALL_SIZE))))
    made = []
    for _ in range(count):
        left, top = (int(generator.integers(0, length - side + 1)) for length in SMALL_SIZE)
        part = whole[top : top + side, left : left + side, :: generator.choice((-1, 1))]
        lit = (part * generator.uniform(0.6, 1.2, 3)).clip(0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(lit).save(file, "JPEG", quality=90)
        made.append(file.getvalue())
    return made


def text_bodies(model: str, texts: list[str], encoding: str = "base64") -> list[bytes]:
    """One request for each text; base64 is what OpenAI's client asks for."""
    return [
        json.dumps({"model": model, "input": [text], "encoding_format": encoding, "modality": "text"}).encode()
        for text in texts
    ]


def picture_bodies(model: str, pictures: list[bytes], encoding: str = "base64") -> list[bytes]:
    """One request for each picture, as a data URI."""
    return [
        json.dumps({"model": model, "input": [uri], "encoding_format": encoding, "modality": "image"}).encode()
        for uri in _uris(pictures)
    ]


def _uris(pictures: list[bytes]) -> Iterator[str]:
    for picture in pictures:
        yield "data:image/jpeg;base64," + base64.b64encode(picture).decode()


def vectors_of(answer: dict[str, object]) -> np.ndarray:
    """(N, D) float32: the embeddings in an answer of POST /v1/embeddings."""
    rows = []
    data = answer["data"]
    assert isinstance(data, list)
    for item in data:
        given = item["embedding"]
        packed = np.frombuffer(base64.b64decode(given), np.float32) if isinstance(given, str) else given
        rows.append(np.asarray(packed, np.float32))
    return np.stack(rows)
