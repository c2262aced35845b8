"""Bodies of requests, read or refused."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field
from starlette.requests import Request
from starlette.types import Message

from clipwright.server.rejection import RejectionError
from clipwright.server.requests import request_body
from clipwright.server.requests.request_body import PictureList, RequestModel, TextList, described, read_body
from clipwright.server.settings import Limits

LIMITS = Limits(pictures=3, texts=4)
JSON = "application/json"
BOUNDARY = "line"


class Inner(RequestModel):
    number: float


class Asked(RequestModel):
    FILES: ClassVar = "images"

    images: PictureList
    labels: TextList | None = None
    kind: Literal["a", "b"] = "a"
    top: Annotated[int, Field(ge=1)] | None = None
    loud: bool = False
    inner: Inner | None = None
    note: str | None = None


class Partial(RequestModel):
    FILES: ClassVar = "images"

    images: PictureList
    partial: bool = False


class Bare(RequestModel):
    note: str | None = None


def read(body: bytes, kind: str | None = JSON, model: type[Any] = Asked) -> Any:
    """The body as a route would get it."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [] if kind is None else [(b"content-type", kind.encode())]
    return asyncio.run(read_body(Request({"type": "http", "headers": headers}, receive), model, LIMITS))


def refusal(*arguments: Any, **options: Any) -> RejectionError:
    with pytest.raises(RejectionError) as raised:
        read(*arguments, **options)
    assert len(str(raised.value)) < 400
    return raised.value


def form(*parts: tuple[str, str | None, bytes], end: str = f"--{BOUNDARY}--\r\n") -> bytes:
    """(name, file name or None, content)"""
    lines = b""
    for name, file, content in parts:
        said = f'; filename="{file}"' if file is not None else ""
        lines += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{said}\r\n\r\n'.encode() + content
        lines += b"\r\n"
    return lines + end.encode()


FORM = f"multipart/form-data; boundary={BOUNDARY}"


# JSON


@pytest.mark.parametrize(
    "kind", [JSON, "application/json; charset=utf-8", "APPLICATION/JSON", " application/json ;a=b"]
)
def test_json_is_read_into_the_model(kind: str) -> None:
    body = {"images": ["photo:1"], "labels": ["a", "b"], "top": 2, "loud": True, "inner": {"number": 3}}
    asked = read(json.dumps(body).encode(), kind)
    assert asked == Asked(images=["photo:1"], labels=["a", "b"], top=2, loud=True, inner=Inner(number=3.0))


def test_a_large_body_is_read_alike() -> None:
    body = json.dumps({"images": ["data:" + "A" * 3_000_000]}).encode()
    assert len(read(body).images[0]) == 3_000_005


@pytest.mark.parametrize(
    "kind", [None, "", "text/plain", "application/x-www-form-urlencoded", "text/json", "application/jsonp", "*/*"]
)
def test_another_content_type_is_refused_by_name(kind: str | None) -> None:
    refused = refusal(b'{"images": []}', kind)
    assert (refused.status, refused.code) == (415, "unsupported_media_type")
    assert "application/json" in str(refused)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"images": ["a"]',
        b'{"images": ["a"]} x',
        b'{"images": ["a"],}',
        b"{'images': ['a']}",
        b'{"images": ["\xff"]}',
        b'{"images": ["\xed\xa0\x80"]}',
        '{"images": ["a"]}'.encode("utf-16"),
        b'{"images": ["\\ud800"]}',
        b'{"images": ["\\udc00\\ud800"]}',
        b'{"images": ["a\nb"]}',
        b'{"images": ["\x00"]}',
        b'{"images": ["a"], "images": ["b"]}',
        b'{"images": ["a"], "inner": {"number": 1, "number": 2}}',
        b'{"images": ["a"], "top": NaN}',
        b'{"images": ["a"], "top": Infinity}',
        b'{"images": ["a"], "top": 1' + b"0" * 5000 + b"}",
        b'{"images": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"[]",
        b"null",
        b"3",
        b'"images"',
    ],
    ids=lambda body: ascii(body[:40]),
)
def test_what_is_not_json_as_it_must_be_is_refused(body: bytes) -> None:
    refused = refusal(body)
    assert (refused.status, refused.code) == (400, "invalid_request")
    assert str(refused).startswith("the body is not ")


@pytest.mark.parametrize(
    ("body", "param", "index", "message"),
    [
        ({}, "images", None, "'images' is missing"),
        ({"images": None}, "images", None, "'images' should be a valid list"),
        ({"images": "a"}, "images", None, "'images' should be a valid list"),
        ({"images": []}, "images", None, "'images' should have at least 1 item, not 0"),
        ({"images": ["a", 1]}, "images", 1, "'images[1]' should be a string: a data URI, 'photo:ID' or an address"),
        ({"images": ["a", ["b"]]}, "images", 1, "'images[1]' should be a string"),
        ({"images": ["a"], "labels": ["a", None]}, "labels", 1, "'labels[1]' should be a valid string"),
        ({"images": ["a"], "labels": {"a": 1}}, "labels", None, "'labels' should be a valid list"),
        ({"images": ["a"], "kind": "c"}, "kind", None, "'kind' should be 'a' or 'b'"),
        ({"images": ["a"], "top": 0}, "top", None, "'top' should be greater than or equal to 1"),
        ({"images": ["a"], "top": 1.5}, "top", None, "'top' should be a valid integer"),
        ({"images": ["a"], "top": True}, "top", None, "'top' should be a valid integer"),
        ({"images": ["a"], "loud": 1}, "loud", None, "'loud' should be a valid boolean"),
        ({"images": ["a"], "loud": "yes"}, "loud", None, "'loud' should be a valid boolean"),
        ({"images": ["a"], "inner": {}}, "inner", None, "'inner.number' is missing"),
        ({"images": ["a"], "inner": {"number": 1, "x": 2}}, "inner", None, "no field 'inner.x' is known"),
        ({"images": ["a"], "image": "b"}, "image", None, "no field 'image' is known; did you mean 'images'?"),
        ({"images": ["a"], "x" * 500: "b"}, "x" * 100, None, "no field 'xxx"),
        ({"images": ["a"], "__class__": "b"}, "__class__", None, "no field '__class__' is known"),
        ({"images": ["a"], "FILES": "b"}, "FILES", None, "no field 'FILES' is known"),
        ({"images": ["a"], "note": b"x".hex() * 3, "model_config": {}}, "model_config", None, "no field"),
    ],
)
def test_a_field_that_is_wrong_is_named(body: dict[str, Any], param: str, index: int | None, message: str) -> None:
    refused = refusal(json.dumps(body).encode())
    assert (refused.status, refused.code, refused.param, refused.index) == (400, "invalid_request", param, index)
    assert message in str(refused)


def test_null_is_what_is_left_out_but_where_something_must_be() -> None:
    nothing = dict.fromkeys(("labels", "kind", "top", "loud", "inner", "note"))
    assert read(json.dumps({"images": ["a"], **nothing}).encode()) == Asked(images=["a"])
    body = form(("images", "a", b"x"), ("loud", None, b"null"), ("request", None, b'{"images": null, "kind": null}'))
    assert read(body, FORM) == Asked(images=[b"x"])
    assert "'inner.number' should be" in str(refusal(b'{"images": ["a"], "inner": {"number": null}}'))
    assert "no field 'nothing' is known" in str(refusal(b'{"images": ["a"], "nothing": null}'))


def test_a_number_beyond_floats_is_refused() -> None:
    refused = refusal(b'{"images": ["a"], "inner": {"number": 1e999}}')
    assert "'inner.number' should be a finite number" in str(refused)


@pytest.mark.parametrize("filler", [b"[],", b"{},", b"1,", b'"",', b'{"a":1},'])
def test_a_body_of_nothing_but_signs_is_refused_before_it_is_parsed(
    filler: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jiter.from_json", lambda *_, **__: pytest.fail("it was parsed"))
    refused = refusal(b'{"images": [' + filler * 1_000_000 + b"1]}")
    assert (refused.status, refused.code) == (413, "body_too_large")


def test_a_list_of_wrong_items_is_refused_at_its_first(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = refusal(b'{"labels": [' + b"1," * 400_000 + b'1], "images": ["a"]}')
    assert (refused.param, refused.index) == ("labels", 0)


def test_a_picture_far_too_large_is_refused_before_the_body_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    huge = "A" * (LIMITS.picture_bytes * 3 // 2)
    body = json.dumps({"labels": ["a"], "images": ["photo:1", "data:image/png;base64," + huge]}).encode()
    monkeypatch.setattr(request_body, "_read_json", lambda *_: pytest.fail("it was parsed"))
    refused = refusal(body)
    assert (refused.status, refused.code, refused.param, refused.index) == (422, "too_large", "images", 1)


def test_line_ends_do_not_make_a_picture_too_large() -> None:
    lines = ("A" * 76 + "\r\n") * (LIMITS.picture_bytes // 57)
    assert len(read(json.dumps({"images": ["data:image/png;base64," + lines]}).encode()).images[0]) > len(lines)


def test_values_are_counted_before_the_place_of_a_picture_too_large_is_looked_for() -> None:
    huge = b'"data:image/png;base64,' + b"A" * (LIMITS.picture_bytes * 3 // 2) + b'"'
    refused = refusal(b'{"note": [' + b"{}," * 1_000_000 + b'""], "images": [' + huge + b"]}")
    assert (refused.status, refused.code) == (413, "body_too_large")


HUGE_FILE = b"-" * (LIMITS.picture_bytes + 1)


@pytest.mark.parametrize(
    ("before", "index"),
    [
        ([("note", None, b"n"), ("images", "a.jpg", b"a")], 1),
        ([("images", None, b"photo:1"), ("images", "a.jpg", b"a")], 2),
        ([("request", None, b'{"images": ["photo:1", "photo:2"], "labels": ["a"]}'), ("images", "a.jpg", b"a")], 3),
        ([("request", "rest.json", b'{"images": ["photo:1"]}')], 1),
    ],
)
def test_a_file_far_too_large_is_refused_before_the_form_is_taken_apart(
    before: list[tuple[str, str | None, bytes]], index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_body, "_InMemory", lambda *_, **__: pytest.fail("it was taken apart"))
    refused = refusal(form(*before, ("images", "b.jpg", HUGE_FILE)), FORM)
    assert (refused.status, refused.code, refused.param, refused.index) == (422, "too_large", "images", index)


def test_an_upload_far_too_large_is_refused_by_its_name() -> None:
    refused = refusal(form(("mine", "b.jpg", HUGE_FILE)), FORM, model=Bare)
    assert (refused.status, refused.code, refused.param, refused.index) == (422, "too_large", "mine", None)


def test_a_field_of_a_form_has_no_more_values_than_a_body() -> None:
    refused = refusal(form(("partial", None, b"[" + b"{}," * 1_000_000 + b"{}]")), FORM, model=Partial)
    assert (refused.status, refused.code, refused.param) == (413, "body_too_large", "partial")


def test_a_body_that_came_as_one_is_not_copied_to_be_refused() -> None:
    huge = b"A" * (LIMITS.picture_bytes * 3 // 2)
    bodies = {
        JSON: b'{"images": ["data:image/png;base64,' + huge + b'"]}',
        FORM: form(("images", "b.jpg", huge)),
    }
    for kind, body in bodies.items():
        tracemalloc.start()
        try:
            assert refusal(body, kind).code == "too_large"
            assert tracemalloc.get_traced_memory()[1] < len(huge) // 4
        finally:
            tracemalloc.stop()


def test_a_file_as_large_as_may_be_is_taken() -> None:
    most = b"-" * LIMITS.picture_bytes
    assert read(form(("images", "a.jpg", b"a"), ("images", "b.jpg", most)), FORM).images == [b"a", most]


def test_where_the_rest_is_to_be_answered_a_picture_too_large_is_left_to_it() -> None:
    huge = "data:image/png;base64," + "A" * (LIMITS.picture_bytes * 3 // 2)
    assert read(json.dumps({"images": [huge], "partial": True}).encode(), model=Partial).images == [huge]
    files = form(("images", "b.jpg", huge.encode()), ("partial", None, b"true"))
    assert len(read(files, FORM, model=Partial).images[0]) == len(huge)


def test_a_long_text_is_no_picture_too_large() -> None:
    assert len(read(json.dumps({"note": "A" * (LIMITS.picture_bytes * 2)}).encode(), model=Bare).note) > 0


# forms


def test_a_form_is_read_into_the_same_model() -> None:
    body = form(
        ("images", "a.jpg", b"\xff\xd8\x00"),
        ("images", None, b"photo:7"),
        ("labels", None, "größe".encode()),
        ("labels", None, b"b"),
        ("top", None, b"2"),
        ("loud", None, b"true"),
        ("inner", None, b'{"number": 3}'),
        ("note", None, b"12"),
    )
    assert read(body, FORM) == Asked(
        images=[b"\xff\xd8\x00", "photo:7"],
        labels=["größe", "b"],
        top=2,
        loud=True,
        inner=Inner(number=3.0),
        note="12",
    )


@pytest.mark.parametrize("file", [None, "rest.json"])
def test_the_rest_of_a_form_may_be_json(file: str | None) -> None:
    body = form(("images", "a", b"x"), ("request", file, b'{"labels": ["a"], "images": ["photo:1"]}'))
    assert read(body, FORM) == Asked(images=["photo:1", b"x"], labels=["a"])


def test_a_large_file_of_a_form_stays_in_memory_and_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.TemporaryFile", lambda *_, **__: pytest.fail("a file was made"))
    content = bytes(range(256)) * 20_000
    assert read(form(("images", "a", content)), FORM).images == [content]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the form cannot be read"),
        (b"nonsense", "the form cannot be read"),
        (form(("images", "a", b"x"), end=""), "the form cannot be read"),
        (b"--line\r\n\r\nx\r\n--line--\r\n", "the form cannot be read"),
        (b"--line\r\nContent-Disposition: form-data\r\n\r\nx\r\n--line--\r\n", "the form cannot be read"),
        (b"--line\r\nContent-Disposition: form-data; name=\r\n\r\nx\r\n--line--\r\n", "no field '' is known"),
        (b"--line\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\nx\r\n--line--\r\n", "the form cannot be read"),
        (b"--line\r\n" + b"X: y\r\n" * 10_000 + b"\r\nx\r\n--line--\r\n", "the form cannot be read"),
        (form(*[("images", "a", b"x")] * 4), "Too many files"),
        (form(*[("labels", None, b"x")] * 20), "Too many fields"),
        (form(("picture", "a", b"x")), "no file is taken as 'picture'; files stand in 'images'"),
        (form(("labels", "a", b"x")), "no file is taken as 'labels'"),
        (form(("images", "a", b"x"), ("kind", None, b"a"), ("kind", None, b"b")), "'kind' is given twice"),
        (form(("images", "a", b"x"), ("top", None, b"two")), "'top' is written as in JSON"),
        (form(("images", "a", b"x"), ("top", None, b"NaN")), "'top' is written as in JSON"),
        (form(("images", "a", b"x"), ("loud", None, b"True")), "'loud' is written as in JSON"),
        (form(("images", "a", b"x"), ("loud", None, b'"true"')), "'loud' should be a valid boolean"),
        (form(("images", "a", b"x"), ("request", None, b"{")), "'request' is not valid JSON"),
        (form(("images", "a", b"x"), ("request", None, b"[]")), "'request' is not a JSON object"),
        (form(("images", "a", b"x"), ("request", None, b'{"images": "a"}')), "'images' is a list"),
        (form(("images", "a", b"x"), ("request", None, b'{"image": "a"}')), "did you mean 'images'?"),
        (form(("images", "a", b"x"), ("x" * 500, None, b"")), "no field 'xxx"),
        (form(("labels", None, b"a")), "'images' is missing"),
    ],
    ids=lambda value: ascii(value[:30]),
)
def test_a_form_that_is_wrong_is_refused_with_a_sentence(body: bytes, message: str) -> None:
    refused = refusal(body, FORM)
    assert (refused.status, refused.code) == (400, "invalid_request")
    assert message in str(refused)


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=", 'multipart/form-data; x="'])
def test_a_form_without_a_boundary_is_refused(kind: str) -> None:
    assert refusal(form(("images", "a", b"x")), kind).status == 400


@pytest.mark.parametrize("charset", ["utf-7", "idna", "undefined", "utf-16", "hex", "\xff", "x" * 5000])
def test_forms_are_utf_8(charset: str) -> None:
    refused = refusal(form(("images", "a", b"x")), f"{FORM}; charset={charset}")
    assert "UTF-8" in str(refused)


def test_a_route_without_files_takes_forms_of_fields() -> None:
    assert read(form(("note", None, b"a")), FORM, Bare) == Bare(note="a")
    assert "no file is taken" in str(refusal(form(("note", "a", b"a")), FORM, Bare))


# the description


def test_both_kinds_of_body_are_described() -> None:
    content = described(Asked)["requestBody"]["content"]
    whole, files = content["application/json"]["schema"], content["multipart/form-data"]["schema"]
    assert whole["required"] == files["required"] == ["images"]
    assert whole["properties"]["images"]["items"]["type"] == "string"
    assert files["properties"]["images"]["items"] == {"type": "string", "format": "binary"}
    assert whole["additionalProperties"] is False
    assert "$ref" not in json.dumps(content)
