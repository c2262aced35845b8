"""What a search over HTTP asks for."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from clipwright.errors import QueryError
from clipwright.index.filters import Filters, parse_moment
from clipwright.index.query import Query
from clipwright.index.query_parser import parse_query
from clipwright.index.searching import SearchOptions
from clipwright.server.rejection import RejectionError
from clipwright.server.requests.request_body import Picture, RequestModel, invalid

MOST_FOUND = 1_000
_LONGEST_NAME = 200
_LARGEST_ID = 2**63 - 1
_LARGEST_OFFSET = 2**31


class NearFilter(RequestModel):
    """A place: what lies within so many kilometres of a point."""

    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    kilometres: float = Field(gt=0)


class SearchFilters(RequestModel):
    """What a photograph must be to be found. One that does not say what is asked for is not found."""

    after: str | None = Field(None, max_length=40, examples=["2024-05"])
    """The first moment: a year, a month, a day or a minute of the camera's clock."""
    before: str | None = Field(None, max_length=40, examples=["2024-05-17T12:30"])
    """The moment from which on photographs are left out."""
    camera: str | None = Field(None, max_length=_LONGEST_NAME)
    """Part of the camera's name, whatever the case of letters."""
    lens: str | None = Field(None, max_length=_LONGEST_NAME)
    near: NearFilter | None = None
    min_megapixels: float | None = Field(None, ge=0)

    def filters(self) -> Filters:
        """The same as the index has them. Raises RejectionError, 400, where a moment is none."""
        return Filters(
            after=_moment("after", self.after),
            before=_moment("before", self.before),
            camera=self.camera,
            lens=self.lens,
            near=(self.near.latitude, self.near.longitude, self.near.kilometres) if self.near else None,
            min_megapixels=self.min_megapixels,
        )


class SearchRequest(RequestModel):
    """A search for a query or for what is like a photograph; without either, the newest photographs."""

    query: str | None = Field(None, examples=["two dogs on a beach", "photo:7 + at night", "beach AND NOT people"])
    """docs/concepts/query-language.md; upload:NAME is a picture of this request."""
    like: Annotated[int, Field(ge=-_LARGEST_ID, le=_LARGEST_ID)] | None = None
    """The id of a photograph that others are to resemble."""
    uploads: dict[Annotated[str, Field(max_length=_LONGEST_NAME)], Picture] = Field(default_factory=dict)
    """Pictures by the names under which the query has them. The fields of a form's files are such names."""
    model: str | None = Field(None, max_length=_LONGEST_NAME)
    """Of those that are served; by default the first one that the index was made with."""
    limit: int = Field(50, ge=1, le=MOST_FOUND)
    offset: int = Field(0, ge=0, le=_LARGEST_OFFSET)
    """So many of the first are left out. In a search, offset and limit together are 1,000 at most."""
    threshold: float | None = Field(None, ge=0, le=1)
    """Drops what has less relevance."""
    adaptive: bool = False
    """Drops what does not stand out from the collection."""
    unique: bool = False
    """Folds near-identical shots into one."""
    exact: bool = False
    """Compares all photographs however many there are."""
    filters: SearchFilters | None = None

    @classmethod
    def place_file(cls, fields: dict[str, Any], name: str, content: bytes) -> None:
        if fields.get("uploads") is None:
            fields["uploads"] = {}
        uploads = fields["uploads"]
        if not isinstance(uploads, dict) or name in uploads:
            raise invalid(f"two uploads are called {name[:_LONGEST_NAME]!r}; give each a name of its own", "uploads")
        uploads[name] = content

    def parsed(self) -> Query | None:
        """What is searched for; None: nothing, the newest are asked for.

        Raises RejectionError, 400, where the query cannot be read, or where too much is asked for.
        """
        if self.query is not None and self.like is not None:
            what = "a search takes either a query or a photograph that others are to be like; leave out one of the two"
            raise RejectionError(400, "invalid_query", what, param="like")
        if self.query is None and self.like is None:
            return None
        if self.offset + self.limit > MOST_FOUND:
            what = f"a search finds {MOST_FOUND:,} photographs at most: offset and limit together may not be more"
            raise invalid(what, "limit")
        if self.query is None:
            assert self.like is not None
            return Query.like(self.like)
        try:
            return parse_query(self.query, files=False)
        except QueryError as error:
            raise RejectionError(400, "invalid_query", str(error), param="query") from error

    def options(self) -> SearchOptions:
        """Raises RejectionError, 400, where a moment of the filters is none."""
        return SearchOptions(
            limit=self.limit,
            offset=self.offset,
            threshold=self.threshold,
            adaptive=self.adaptive,
            filters=self.filters.filters() if self.filters else Filters(),
            unique=self.unique,
            exact=self.exact,
            without=self.like,
        )


def _moment(name: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parse_moment(text)
    except QueryError as error:
        raise RejectionError(400, "invalid_query", str(error), param=f"filters.{name}") from error
