"""The bodies of requests: JSON or a multipart form, read into a pydantic model, or refused with a sentence."""

from __future__ import annotations

import asyncio
import codecs
import functools
import itertools
import re
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import jiter
import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from clipwright.errors import suggestion
from clipwright.server.rejection import ItemFault, RejectionError
from clipwright.server.settings import Limits

_AT_ONCE = 256 * 1024
"""Bytes of a body that is parsed on the event loop: a quarter of a millisecond. Larger ones go to a thread."""
_MOST_VALUES = 1_000_000
"""Of a body. Two letters of JSON can be an object of 60 bytes in memory; texts and pictures need few objects."""
_BLOCK = 2**20
_MOST_PARTS = 5_000
"""Of a form, that are looked at before it is taken apart; there may be no more texts and pictures than that."""
_HEAD = 4096
"""Bytes in which the head of a form's part ends, and more than stands before the picture of a data URI."""
_REST = "request"
"""The field of a form that holds other fields, as JSON."""
_PART_NAME = re.compile(rb'[;\s]name="?([^";\r\n]*)')
_SUBJECT = re.compile(r"^(Input|List|Value|String|Dictionary) (?=should )")
"""How pydantic begins its sentences."""
_NULL = {"type": "null"}
_ABOUT_A_FIELD = ("default", "description", "examples", "title")
"""Keys of JSON schema that say nothing of what the field may be."""
_SHOWN = 100
"""Letters of what a client sent that a sentence repeats."""


_SQUARE = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAIAQMAAAD+wSzIAAAAA1BMVEXIHh4WiPieAAAAC0lEQVR42mNgQAUAABAAAaoZ+IIAAAAASUVORK5CYII="
)
"""A small picture, for the description of the API."""


def _picture(value: Any) -> str | bytes:
    if isinstance(value, str | bytes):
        return value
    raise PydanticCustomError("picture", "should be a string: a data URI, 'photo:ID' or an address")


Picture = Annotated[
    str | bytes,
    PlainValidator(_picture),
    WithJsonSchema(
        {
            "type": "string",
            "description": "A picture: data:image/...;base64,..., photo:ID of the index, or an http(s) address where "
            "the server fetches such.",
            "examples": [_SQUARE, "photo:1"],
        }
    ),
]
"""A picture as a body has it: a string in JSON, bytes where it is the file of a form."""
_Text = Annotated[str, WithJsonSchema({"type": "string", "minLength": 1})]
PictureList = Annotated[list[Picture], Field(fail_fast=True, min_length=1)]
TextList = Annotated[list[_Text], Field(fail_fast=True, min_length=1)]
"""Their first fault is enough: a list of a million numbers would have a million."""


def _describe_null(schema: dict[str, Any]) -> None:
    """Says of each field of a model that may be left out that it may be null as well."""
    for name, field in schema["properties"].items():
        if name not in schema.get("required", ()) and _NULL not in field.get("anyOf", ()):
            kind = {key: field.pop(key) for key in [*field] if key not in _ABOUT_A_FIELD}
            field["anyOf"] = [kind, _NULL]


class RequestModel(BaseModel):
    """What a request asks for. In a form, repeated fields make a list, and files stand in the list of their name."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, json_schema_extra=_describe_null
    )
    FILES: ClassVar[str | None] = None
    """The field whose list takes a form's files."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, fields: Any) -> Any:
        """Without the fields that are null: programs write so what they leave out."""
        if not isinstance(fields, dict):
            return fields
        optional = {name for name, field in cls.model_fields.items() if not field.is_required()}
        return {name: value for name, value in fields.items() if value is not None or name not in optional}

    @classmethod
    def place_file(cls, fields: dict[str, Any], name: str, content: bytes) -> None:
        """Puts a form's file where the model has it. Raises RejectionError where it has no place for one so named."""
        if name != cls.FILES:
            takers = "" if cls.FILES is None else f"; files stand in {cls.FILES!r}"
            raise invalid(f"no file is taken as {_shown(name)}{takers}", name)
        _append(fields, name, content)


class PicturesRequest(RequestModel):
    """Asks the same of each of some pictures."""

    FILES: ClassVar = "images"

    images: PictureList
    model: str | None = Field(None, description="A name that /v1/models gives; the server's first model, if left out.")
    partial: bool = Field(
        False, description="Whether good pictures are answered where others cannot be used; those have an error."
    )


ModelT = TypeVar("ModelT", bound=RequestModel)


def invalid(message: str, param: str | None = None, index: int | None = None) -> RejectionError:
    """The refusal of a request that is not as it must be."""
    return RejectionError(400, "invalid_request", message, param=param and param[:_SHOWN], index=index)


async def read_body(request: Request, model: type[ModelT], limits: Limits) -> ModelT:
    """The body of a request. Raises RejectionError: 415 for another content type, 400 for what does not fit."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        body = await _whole_body(request)
        if len(body) > _AT_ONCE:
            return await asyncio.to_thread(_read_large_json, body, model, limits)
        return _read_json(body, model)
    if kind == "multipart/form-data":
        return await _read_form(request, model, limits)
    said = f"not {_shown(kind)}" if kind else "and the request says nothing of its own"
    raise RejectionError(
        415,
        "unsupported_media_type",
        f"the Content-Type of this request is application/json or multipart/form-data, {said}",
    )


async def _whole_body(request: Request) -> bytes:
    """As gate/bodies.py gives it, in one message. request.body() would copy it, which takes as long as receiving it."""
    message = await request.receive()
    body: bytes = message["body"]
    return body


# JSON


def _read_json(body: bytes, model: type[ModelT]) -> ModelT:
    return _validated(_parse_json(body), model)


def _read_large_json(body: bytes, model: type[ModelT], limits: Limits) -> ModelT:
    _check_strings(body, limits.picture_bytes)
    return _read_json(body, model)


def _parse_json(body: bytes, param: str | None = None) -> dict[str, Any]:
    name = "the body" if param is None else repr(param)
    try:
        parsed = _values(body.removeprefix(codecs.BOM_UTF8), name, param)
    except ValueError as error:
        raise invalid(f"{name} is not valid JSON: {str(error)[:_SHOWN]}", param) from None
    if not isinstance(parsed, dict):
        raise invalid(f"{name} is not a JSON object, as in {{...}}", param)
    return parsed


def _values(document: bytes, name: str, param: str | None) -> Any:
    """What a JSON document holds. Raises RejectionError where that is too much, ValueError where it is no JSON."""
    if len(document) > _AT_ONCE and _signs(document) > _MOST_VALUES:
        raise RejectionError(413, "body_too_large", f"{name} has more than {_MOST_VALUES:,} values", param=param)
    return jiter.from_json(document, allow_inf_nan=False, cache_mode="keys", catch_duplicate_keys=True)


def _check_strings(body: bytes, most: int) -> None:
    """Refuses a picture of many more bytes than may be before the body is parsed, which takes longer than receiving it.

    Finds it by how far apart quotes are; what goes just beyond the limit is found when it is taken out. A request that
    wants the rest answered is left alone.
    """
    free = 0
    for start in range(0, len(body) - _BLOCK + 1, _BLOCK):
        free = free + 1 if body.find(b'"', start, start + _BLOCK) < 0 else 0
        if free * _BLOCK * 3 > 4 * most * 17 // 16 + _HEAD:  # in base64, with what stands before it and line ends
            quote = body.rfind(b'"', 0, start - (free - 1) * _BLOCK)
            rest = body.find(b'"', start + _BLOCK)
            if not body.startswith(b"data:", quote + 1) or b'"partial"' in body[:quote] or b'"partial"' in body[rest:]:
                return
            beginning = body[: quote + 6]
            if _signs(beginning) <= _MOST_VALUES:
                raise _too_large([_place_at(beginning)], most)
            return


def _place_at(beginning: bytes) -> tuple[str | None, int | None]:
    """The field that a body's last string is in, as far as the body goes, and its place there, if that is a list."""
    try:
        fields = jiter.from_json(beginning, partial_mode="trailing-strings")
    except ValueError:
        return None, None
    if not isinstance(fields, dict) or not fields:
        return None, None
    name, value = list(fields.items())[-1]
    return name, len(value) - 1 if isinstance(value, list) else 0 if isinstance(value, str) else None


def _too_large(places: Sequence[tuple[str | None, int | None]], most: int) -> RejectionError:
    """The refusal of pictures that are too large, by the fields that they stand in and their places there."""
    (name, first), message = places[0], f"the picture has more than {most:,} bytes"
    param = name and name[:_SHOWN]
    if first is None:
        return RejectionError(422, "too_large", message, param=param)
    faults = [ItemFault(place, "too_large", message) for other, place in places if other == name and place is not None]
    return RejectionError.of_items(faults, param)


def _signs(body: bytes) -> int:
    """How many signs there are that begin a value. NumPy counts a megabyte in a third of a millisecond, and lets other
    threads have their turn; bytes.count takes two, and does not."""
    letters = np.frombuffer(body, np.uint8)
    count = 0
    for start in range(0, len(letters), _AT_ONCE):
        block = letters[start : start + _AT_ONCE]
        count += sum(int(np.count_nonzero(block == sign)) for sign in b",[{")
    return count


def _validated(fields: dict[str, Any], model: type[ModelT]) -> ModelT:
    unknown = fields.keys() - model.model_fields.keys()
    if unknown:
        name = min(unknown)
        raise invalid(f"no field {_shown(name)} is known{suggestion(name[:_SHOWN], model.model_fields)}", name)
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise _rejection(error) from None


def _rejection(error: ValidationError) -> RejectionError:
    """The first thing that is wrong, in words."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place, message = first["loc"], first["msg"].replace(" after validation", "")
    path = ""
    for part in place:
        path += f"[{part}]" if isinstance(part, int) else f"{'.' if path else ''}{part[:_SHOWN]}"
    if first["type"] == "missing":
        sentence = f"{path!r} is missing"
    elif first["type"] == "extra_forbidden":
        sentence = f"no field {path!r} is known"
    elif first["type"] == "value_error":
        sentence = message.removeprefix("Value error, ")
    else:
        sentence = f"{path!r} {_SUBJECT.sub('', message)}"
    index = next((part for part in place if isinstance(part, int)), None)
    return invalid(sentence, str(place[0]) if place else None, index)


# Forms


class _InMemory(MultiPartParser):
    spool_max_size = 2**62  # the server's limit on bodies bounds it; a full disk is nothing that a client should meet
    is_whole = False

    def on_end(self) -> None:
        self.is_whole = True

    async def parse(self) -> FormData:
        self.stream = self._whole(self.stream)
        return await super().parse()

    async def _whole(self, stream: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        """Raises where the form has no end: half a form would pass for one of fewer pictures."""
        async for part in stream:
            yield part
        if not self.is_whole:
            raise MultiPartException("it ends before its last boundary")


async def _once(body: bytes) -> AsyncGenerator[bytes]:
    yield body


async def _read_form(request: Request, model: type[ModelT], limits: Limits) -> ModelT:
    """Files stay in memory, as JSON bodies do."""
    _, options = parse_options_header(request.headers["content-type"])
    if options.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"utf8"):
        raise invalid("the form's texts are UTF-8; leave the charset out")
    body = await _whole_body(request)
    if len(body) > limits.picture_bytes:
        await asyncio.to_thread(_check_files, body, b"--" + options.get(b"boundary", b""), model, limits.picture_bytes)
    parser = _InMemory(
        request.headers,
        _once(body),
        max_files=limits.pictures,
        max_fields=limits.texts + len(model.model_fields),
        max_part_size=limits.body_bytes,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise invalid(f"the form cannot be read: {error.message}") from None
    try:
        parts = [
            (name, await part.read() if isinstance(part, UploadFile) else part) for name, part in form.multi_items()
        ]
    finally:
        await form.close()
    if sum(len(part) for _, part in parts) > _AT_ONCE:
        return await asyncio.to_thread(_fit_form, parts, model)
    return _fit_form(parts, model)


def _check_files(body: bytes, delimiter: bytes, model: type[RequestModel], most: int) -> None:
    """Refuses a file of more bytes than a picture may have before the form is taken apart, which copies it twice.

    A request that wants the rest answered is left alone.
    """
    too_large: list[tuple[str, int]] = []
    before: Counter[str] = Counter()
    for start, end in itertools.islice(itertools.pairwise(_places_of(delimiter, body)), _MOST_PARTS):
        head = body[start : min(start + _HEAD, end)].partition(b"\r\n\r\n")[0]
        found = _PART_NAME.search(head)
        name = found[1].decode(errors="replace") if found else ""
        content = start + len(head) + len(b"\r\n\r\n"), end - len(b"\r\n")
        if name == _REST or b"filename" not in head.lower():
            if b"partial" in body[start:end]:
                return
            if name == _REST and model.FILES is not None:
                listed = _parse_json(body[slice(*content)], _REST).get(model.FILES)
                before[_REST] += len(listed) if isinstance(listed, list) else 0
        elif content[1] - content[0] > most:
            too_large.append((name, before[name]))
        if name != _REST:
            before[name] += 1
    if too_large:  # what the rest lists comes first
        places = [(name, before[_REST] + place if name == model.FILES else None) for name, place in too_large]
        raise _too_large(places, most)


def _places_of(delimiter: bytes, body: bytes) -> Iterator[int]:
    """Where a form's parts begin and end."""
    place = body.find(delimiter)
    while place >= 0:
        yield place
        place = body.find(delimiter, place + len(delimiter))


def _fit_form(parts: Iterable[tuple[str, str | bytes]], model: type[ModelT]) -> ModelT:
    parts = list(parts)
    fields: dict[str, Any] = {}
    for name, part in parts:
        if name == _REST:
            fields.update(_parse_json(part.encode() if isinstance(part, str) else part, _REST))
    for name, part in parts:
        if name == _REST:
            continue
        if isinstance(part, bytes):
            model.place_file(fields, name, part)
        elif _form_kinds(model).get(name) == "list":
            _append(fields, name, part)
        elif name in fields:
            raise invalid(f"{_shown(name)} is given twice; leave one out", name)
        else:
            fields[name] = _form_value(part, name) if _form_kinds(model).get(name) == "json" else part
    return _validated(fields, model)


def _append(fields: dict[str, Any], name: str, part: str | bytes) -> None:
    if fields.get(name) is None:
        fields[name] = []
    there = fields[name]
    if not isinstance(there, list):
        raise invalid(f"{name!r} is a list in {_REST!r}, or stands in the form's own fields", name)
    there.append(part)


def _form_value(part: str, name: str) -> Any:
    try:
        return _values(part.encode(), repr(name), name)
    except ValueError:
        raise invalid(f"{name!r} is written as in JSON, such as true or 12, not {_shown(part)}", name) from None


@functools.cache
def _form_kinds(model: type[RequestModel]) -> dict[str, Literal["list", "text", "json"]]:
    """How a form writes each field: a list as repeated fields, a text as it is, anything else as JSON."""
    kinds: dict[str, Literal["list", "text", "json"]] = {}
    for name, schema in json_schema(model)["properties"].items():
        types = {choice.get("type") for choice in schema.get("anyOf", [schema])}
        kinds[name] = "list" if "array" in types else "text" if "string" in types else "json"
    return kinds


def _shown(name: str) -> str:
    return repr(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}...")


# OpenAPI


def described(model: type[RequestModel]) -> dict[str, Any]:
    """What a route that reads the model says of its body: its openapi_extra."""
    schema = json_schema(model)
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    if model.FILES is not None:
        files = {"type": "array", "items": {"type": "string", "format": "binary"}, "description": "Files of pictures."}
        form = {**schema, "properties": {**schema["properties"], model.FILES: files}}
        content["multipart/form-data"] = {"schema": form}
    return {"requestBody": {"required": True, "content": content}}


@functools.cache
def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The model's JSON schema, without references."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def resolved(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                rest = {key: value for key, value in node.items() if key != "$ref"}
                return resolved({**definitions[node["$ref"].rpartition("/")[2]], **rest})
            return {key: resolved(value) for key, value in node.items()}
        return [resolved(item) for item in node] if isinstance(node, list) else node

    whole: dict[str, Any] = resolved(schema)
    return whole
