"""Which strings are texts, which are pictures, and which could be either."""

from __future__ import annotations

import pytest

from clipwright.server.requests.modality import modality_of

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.mark.parametrize(
    "item",
    [
        f"data:image/png;base64,{PNG}",
        f"DATA:IMAGE/PNG;BASE64,{PNG}",
        f"data:image/png;charset=utf-8;base64,{PNG}",
        f"data:image/png; base64, {PNG}",
        f"data:image;base64,{PNG}",
        f"data:;base64,{PNG}",
        "data:;base64,",
        f"data:application/octet-stream;base64,{PNG}",
        f"data:text/plain;base64,{PNG}",
        "data:image/png,%89PNG%0D%0A",
        f"data%3Aimage%2Fpng%3Bbase64%2C{PNG}",
        f" data:image/png;base64,{PNG}",
        f"\r\n\tdata:image/png;base64,{PNG}",
        f"\ufeffdata:image/png;base64,{PNG}",
        f"{' ' * 300}data:image/png;base64,{PNG}",
        PNG,
        f"\n{PNG[:76]}\n{PNG[76:]}\n",
        f"{PNG[:16]}\n    {PNG[16:32]}\r\n\t{PNG[32:]}",
        "/9j/4AAQSkZJRgABAQAAAQABAAD",
        "_9j_4AAQSkZJRgABAQAAAQABAAD_",
        "R0lGODlhAQABAIAAAAAAAP",
        "UklGRiIEAABXRUJQVlA4",
        "AAAAIGZ0eXBhdmlmAAAA",
        "AAAAGGZ0eXBoZWljAAAA",
        "SUkqAAgAAAAKAAAB",
        "photo:1",
        "Photo:17",
        " photo:17\n",
    ],
)
def test_a_picture_is_known_by_how_it_is_written(item: str) -> None:
    assert modality_of(item) == "image"


@pytest.mark.parametrize(
    "item",
    [
        "https://example.com/cat.jpg",
        "HTTP://example.com/cat",
        "https://example.com/cat.jpg?width=400",
        "\nhttps://example.com/cat",
        "<https://example.com/cat>",
        "file:///home/ada/cat.jpg",
        "s3://bucket/cat",
        "blob:https://example.com/1",
        "cat.jpg",
        "/v1/photos/1/picture",
        "localhost:7999/v1/photos/1/thumbnail?v=3",
        "IMG_2034.HEIC",
        "./cat.png",
        "~/Pictures/at the beach.jpg",
        "C:\\Pictures\\at the beach.jpg",
        "photo: 1",
        "photo:-1",
        "'photo:1'",
        "upload:mine",
        "file:cat",
        f"data:base64,{PNG}",
        f"image/png;base64,{PNG}",
        f"base64,{PNG}",
        f"b'{PNG}'",
        f'"data:image/png;base64,{PNG * 9}"',
        "Qk32EgAAAAAAADYAAAAoAAAAKAAAACgAAAABABgAAAAAAMASAADEDgAA",
    ],
)
def test_what_could_be_a_text_or_a_picture_is_neither(item: str) -> None:
    assert modality_of(item) is None


@pytest.mark.parametrize(
    "item",
    [
        "",
        " ",
        "a cat",
        "日本語",
        "photo: a dog on a beach",
        "photo: dog",
        "photo:dog",
        "photo:",
        "photo 1",
        "Photo of the day: 3",
        "写真:猫",
        "data: the new oil",
        "data: image of a dog",
        "data, image and text",
        "data:text/plain,cat",
        "data:12,13,14",
        "see https://example.com for a dog",
        "https://example.com is where dogs are",
        "a picture that is called cat.jpg",
        "base64, a way to write bytes",
        "data: base64, hex and others",
        "UklGR",
        "R0lGOD is how a GIF begins",
        "'a cat'",
        '"see https://example.com"',
        "AC/DC",
        "iPhone15ProMax",
        "16:9 film",
        "word " * 200,
        "a" * 8001,
        "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch",
    ],
)
def test_what_people_write_is_a_text(item: str) -> None:
    assert modality_of(item) == "text"
