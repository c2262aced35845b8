"""POST /v1/search: photographs by words, by pictures, by both, or the newest ones."""

from __future__ import annotations

import time
from typing import Literal

import numpy as np
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from clipwright.index.photo_index import PhotoIndex
from clipwright.index.query import Query, TermKey
from clipwright.server.library.photo_records import HitRecord, hit_record, record_without_rank
from clipwright.server.library.search_request import SearchRequest
from clipwright.server.library.searched_model import default_space, searched_model
from clipwright.server.models.model_facts import ModelFacts
from clipwright.server.rejection import RejectionError
from clipwright.server.requests.pictures import embed_pictures
from clipwright.server.requests.request_body import described, read_body
from clipwright.server.services import Deadline, Services, ServicesOf

router = APIRouter(tags=["photographs"])


class SearchAnswer(BaseModel):
    """Photographs that answer a search."""

    object: Literal["list"]
    model: str | None
    """That the query was embedded with; null where none was needed."""
    order: Literal["relevance", "newest"]
    seconds: float
    """That the search took."""
    data: list[HitRecord]


@router.post(
    "/v1/search",
    response_model=SearchAnswer,
    openapi_extra=described(SearchRequest),
)
async def search(request: Request, services: ServicesOf, deadline: Deadline) -> Response:
    """Photographs that answer a search, best first; where nothing is searched for, the newest."""
    started = time.perf_counter()
    asked = await read_body(request, SearchRequest, services.settings.limits)
    query = asked.parsed()
    options = asked.options()
    spaces = await services.photos.spaces(deadline)
    served = services.settings.models
    vectors: dict[TermKey, np.ndarray] = {}
    model, space_id = None, default_space(served, spaces)
    if asked.model is not None or (query and any(kind != "photo" for kind, _ in query.terms)):
        found = await searched_model(services.models, spaces, asked.model)

        async def embed(now: ModelFacts) -> tuple[str, dict[TermKey, np.ndarray]]:
            facts = await searched_model(services.models, spaces, now.name)  # it may have been reloaded to another one
            return facts.space_id, await _embedded(services, facts, query, asked, deadline) if query else {}

        model = found.name
        space_id, vectors = await services.models.consistently(model, embed)

    def find(index: PhotoIndex) -> bytes:
        if space_id is None:
            hits = []
        elif query is None:
            photos = index.newest(options.limit, options.offset, options.filters, space_id)
            hits = [record_without_rank(photo) for photo in photos]
        else:
            hits = [hit_record(hit) for hit in index.search_embedded(query, vectors, space_id, options)]
        answer = SearchAnswer(
            object="list",
            model=model,
            order="relevance" if query else "newest",
            seconds=round(time.perf_counter() - started, 6),
            data=hits,
        )
        return answer.model_dump_json().encode()

    return Response(await services.photos.search(find, deadline), media_type="application/json")


async def _embedded(
    services: Services, facts: ModelFacts, query: Query, asked: SearchRequest, deadline: float
) -> dict[TermKey, np.ndarray]:
    """The vectors of the words and uploads of a query. Raises RejectionError where an upload cannot be used."""
    words: list[TermKey] = [term for term in query.terms if term[0] == "words"]
    uploads: list[TermKey] = [term for term in query.terms if term[0] == "upload"]
    missing = [name for _, name in uploads if name not in asked.uploads]
    if missing:
        what = f"the query names the upload {missing[0]!r}, but no picture came under that name"
        raise RejectionError(400, "invalid_query", what, param="uploads")
    vectors: dict[TermKey, np.ndarray] = {}
    if words:
        texts = await services.models.embed_texts(facts.name, [text for _, text in words], deadline, remembered=True)
        vectors.update(zip(words, texts.vectors, strict=True))
    if uploads:
        pictures = [asked.uploads[name] for _, name in uploads]
        embedded = await embed_pictures(services, facts, pictures, deadline, "uploads")
        vectors.update({term: row for term, row in zip(uploads, embedded, strict=True) if isinstance(row, np.ndarray)})
    return vectors
