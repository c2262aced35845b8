"""POST /v1/embeddings, as OpenAI's clients ask for them; besides, of pictures."""

from __future__ import annotations

import asyncio
import binascii
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, PlainValidator, WithJsonSchema
from pydantic_core import to_json
from starlette.responses import Response

from clipwright.server.gate.error_answers import ItemRecord
from clipwright.server.models.model_pool import ModelFacts
from clipwright.server.rejection import ItemFault, RejectionError
from clipwright.server.requests.modality import EITHER, Modality, modality_of
from clipwright.server.requests.pictures import embed_pictures, tell_faults
from clipwright.server.requests.request_body import RequestModel, described, invalid, read_body
from clipwright.server.requests.texts import check_count, text_faults
from clipwright.server.services import Deadline, Services, ServicesOf

router = APIRouter()

_AT_ONCE = 64
"""Vectors that are written on the event loop, which takes two milliseconds. A thread writes more."""


def _items(value: Any) -> list[str | bytes]:
    """The items of 'input', of which there may be one without a list."""
    items = value if isinstance(value, list) else [value]
    for place, item in enumerate(items):
        if isinstance(item, str | bytes):
            continue
        index = place if isinstance(value, list) else None
        if type(item) is int or (isinstance(item, list) and all(type(token) is int for token in item)):
            raise RejectionError(
                400,
                "token_arrays_unsupported",
                "'input' holds token ids, which only a model's own tokenizer gives a meaning; send the text itself "
                "(with LangChain: check_embedding_ctx_length=False)",
                param="input",
                index=index,
            )
        raise invalid(f"'input{'' if index is None else f'[{index}]'}' should be a string", "input", index)
    return items


class EmbeddingsRequest(RequestModel):
    """Texts and pictures to be embedded."""

    FILES: ClassVar = "input"

    input: Annotated[
        list[str | bytes],
        PlainValidator(_items),
        WithJsonSchema(
            {
                "description": "One or several: texts, pictures as data URIs, photo:ID; with modality 'image' all.",
                "anyOf": [
                    {"type": "string", "minLength": 1},
                    {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
                ],
            }
        ),
    ]
    model: str | None = Field(None, description="A name that /v1/models gives; the server's first model, if left out.")
    encoding_format: Literal["float", "base64"] = Field(
        "float", description="base64: of the numbers as little-endian float32."
    )
    dimensions: int | None = Field(None, description="As many as the model gives; it cannot give fewer.")
    user: str | None = Field(None, description="Taken, and not used.")
    modality: Modality | None = Field(
        None,
        description="What the strings of input are. Left out, each tells it itself; an address, or what else could be "
        "either, is refused.",
    )
    partial: bool = Field(
        False, description="Whether good items are answered where others cannot be used; those are listed in errors."
    )


class Embedding(BaseModel):
    """One item's vector."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str = Field(description="Of length 1; a string of base64, where that was asked for.")


class Usage(BaseModel):
    """How much was read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(BaseModel):
    """OpenAI's shape."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage
    truncated: list[int] | None = Field(
        None, description="Texts that are longer than the model reads: their ends are not in the vectors."
    )
    errors: list[ItemRecord] | None = Field(None, description="With partial: the items that could not be used.")


@router.post(
    "/v1/embeddings",
    response_model=EmbeddingsAnswer,
    response_model_exclude_unset=True,
    openapi_extra=described(EmbeddingsRequest),
    tags=["models"],
)
async def create_embeddings(request: Request, services: ServicesOf, deadline: Deadline) -> Response:
    """Vectors of texts and pictures, all in one space: a picture is near to the texts that describe it."""
    asked = await read_body(request, EmbeddingsRequest, services.settings.limits)
    embedded = await services.models.consistently(asked.model, lambda facts: _embed(services, asked, facts, deadline))
    if len(asked.input) > _AT_ONCE:
        content = await asyncio.to_thread(_written, asked, embedded)
    else:
        content = _written(asked, embedded)
    return Response(content, media_type="application/json")


@dataclass
class _Embedded:
    """What a model made of the items."""

    model: str
    results: dict[int, np.ndarray | ItemFault] = field(default_factory=dict)
    """By their places."""
    tokens: int = 0
    truncated: list[int] = field(default_factory=list)


async def _embed(services: Services, asked: EmbeddingsRequest, facts: ModelFacts, deadline: float) -> _Embedded:
    limits = services.settings.limits
    if asked.dimensions not in (None, facts.embed_dim):
        raise invalid(
            f"{facts.name!r} gives vectors of {facts.embed_dim} numbers, which cannot be cut to {asked.dimensions} "
            "without loss; leave dimensions out",
            "dimensions",
        )
    check_count(len(asked.input), limits.texts, "input")
    texts: dict[int, str] = {}
    pictures: dict[int, str | bytes] = {}
    unclear: list[ItemFault] = []
    for place, item in enumerate(asked.input):
        modality = "image" if isinstance(item, bytes) else asked.modality or modality_of(item)
        if modality is None:
            unclear.append(ItemFault(place, "invalid_request", EITHER))
        elif isinstance(item, str) and modality == "text":
            texts[place] = item
        else:
            pictures[place] = item
    both = sorted([*unclear, *text_faults(texts, limits)], key=lambda fault: fault.index)
    faults = {fault.index: fault for fault in both}
    tell_faults(services, faults.values(), "input", asked.partial)
    good = {place: text for place, text in texts.items() if place not in faults}
    embedded = _Embedded(facts.name, dict(faults))
    if pictures:
        vectors = await embed_pictures(
            services, facts, list(pictures.values()), deadline, "input", partial=asked.partial, places=list(pictures)
        )
        embedded.results |= zip(pictures, vectors, strict=True)
    if good:
        read = await services.models.embed_texts(facts.name, list(good.values()), deadline)
        embedded.results |= zip(good, read.vectors, strict=True)
        embedded.tokens = sum(read.tokens)
        embedded.truncated = [place for place, dropped in zip(good, read.dropped, strict=True) if dropped]
    return embedded


def _written(asked: EmbeddingsRequest, embedded: _Embedded) -> bytes:
    """The answer, as EmbeddingsAnswer describes it: vector by vector, so that in a thread other threads have turns."""
    results = sorted(embedded.results.items(), key=lambda item: item[0])
    vectors = (
        _written_vector(place, result, asked.encoding_format)
        for place, result in results
        if not isinstance(result, ItemFault)
    )
    rest: dict[str, Any] = {
        "model": embedded.model,
        "usage": {"prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens},
    }
    if embedded.truncated:
        rest["truncated"] = embedded.truncated
    if asked.partial:
        rest["errors"] = [result for _, result in results if isinstance(result, ItemFault)]
    return b'{"object":"list","data":[%b],%b' % (b",".join(vectors), to_json(rest)[1:])


def _written_vector(place: int, vector: np.ndarray, encoding: str) -> bytes:
    if encoding == "base64":
        letters = binascii.b2a_base64(vector.astype("<f4", copy=False).tobytes(), newline=False)
        return b'{"object":"embedding","index":%d,"embedding":"%b"}' % (place, letters)
    return b'{"object":"embedding","index":%d,"embedding":%b}' % (place, to_json(vector.tolist()))
