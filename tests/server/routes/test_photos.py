"""Photographs over HTTP: what is known of them, small and large pictures; only those of the index."""

from __future__ import annotations

import io
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.server.indexed_photos import PICTURES, IndexedPhotos, index_photographs, picture, write_photographs
from tests.server.serving import Serving, serving


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> IndexedPhotos:
    folder = tmp_path_factory.mktemp("photos")
    made = IndexedPhotos(folder / "trip", folder / "photos.db")
    write_photographs(made.folder)
    turned = Image.Exif()
    turned[0x0112] = 6
    picture("rocket.jpg").save(made.folder / "turned.jpg", exif=turned)
    picture("rocket.jpg").crop((0, 0, 200, 300)).save(made.folder / "unkept.jpg")
    for name in ("gone", "changed", "touched", "cut"):
        picture("coffee.jpg").crop((0, 0, 200 + len(name), 300)).save(made.folder / f"{name}.jpg")
    index_photographs(made)
    with sqlite3.connect(made.database) as connection:
        connection.execute("DELETE FROM thumbnails WHERE photo = ?", (made.ids()["unkept.jpg"],))
    connection.close()
    (made.folder / "gone.jpg").unlink()
    (made.folder / "changed.jpg").write_bytes((PICTURES / "coffee.jpg").read_bytes())
    os.utime(made.folder / "touched.jpg", (1, 1))
    return made


@pytest.fixture(scope="module")
def server(photos: IndexedPhotos) -> Iterator[Serving]:
    with serving(photos.settings(update=False)) as running:
        yield running


@pytest.fixture(scope="module")
def ids(photos: IndexedPhotos) -> dict[str, int]:
    return photos.ids()


def error_at(server: Serving, address: str) -> tuple[int, str]:
    answer = server.client.get(address)
    return answer.status_code, answer.json()["error"]["code"]


def test_what_is_known_of_a_photograph_is_told(server: Serving, ids: dict[str, int]) -> None:
    record = server.client.get(f"/v1/photos/{ids['cat.jpg']}").json()
    assert (record["name"], record["camera"]) == ("cat.jpg", "Canon EOS 5D")
    assert "path" not in record


def test_a_thumbnail_is_a_small_jpeg(server: Serving, ids: dict[str, int]) -> None:
    answer = server.client.get(f"/v1/photos/{ids['cat.jpg']}/thumbnail")
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size == (320, 213)


def test_a_thumbnail_that_was_not_kept_is_made(server: Serving, ids: dict[str, int]) -> None:
    answer = server.client.get(f"/v1/photos/{ids['unkept.jpg']}/thumbnail")
    assert max(Image.open(io.BytesIO(answer.content)).size) == 300


def test_a_large_picture_is_upright_and_as_large_as_asked(server: Serving, ids: dict[str, int]) -> None:
    width, height = picture("rocket.jpg").size
    for side in (100, 4096):
        answer = server.client.get(f"/v1/photos/{ids['turned.jpg']}/picture", params={"side": side})
        assert answer.status_code == 200
        shown = Image.open(io.BytesIO(answer.content)).size
        assert max(shown) == min(side, max(width, height))
        assert shown[0] < shown[1]


@pytest.mark.parametrize("what", ["thumbnail", "picture"])
def test_what_a_client_has_is_not_sent_again(server: Serving, ids: dict[str, int], what: str) -> None:
    address = f"/v1/photos/{ids['cat.jpg']}/{what}"
    first = server.client.get(address)
    assert first.headers["cache-control"] == "private, no-cache"
    for tag in (first.headers["etag"], f'"other", W/{first.headers["etag"]}', "*"):
        again = server.client.get(address, headers={"if-none-match": tag})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
    assert server.client.get(address, headers={"if-none-match": '"other"'}).status_code == 200


def test_sizes_of_a_picture_are_told_apart(server: Serving, ids: dict[str, int]) -> None:
    address = f"/v1/photos/{ids['cat.jpg']}/picture"
    tags = {server.client.get(address, params={"side": side}).headers["etag"] for side in (64, 128)}
    assert len(tags) == 2


def test_an_address_that_names_the_content_may_be_kept(server: Serving, ids: dict[str, int]) -> None:
    address = server.client.get(f"/v1/photos/{ids['cat.jpg']}").json()["thumbnail"]
    assert "immutable" in server.client.get(address).headers["cache-control"]
    assert "no-cache" in server.client.get(address.replace("v=", "v=00")).headers["cache-control"]


@pytest.mark.parametrize("id_", ["0", "-1", "999999", str(2**63 - 1), str(2**63), "9" * 60, "-" + "9" * 60])
@pytest.mark.parametrize("what", ["", "/thumbnail", "/picture"])
def test_an_id_that_the_index_has_not_is_unknown(server: Serving, id_: str, what: str) -> None:
    assert error_at(server, f"/v1/photos/{id_}{what}") == (404, "unknown_photo")


@pytest.mark.parametrize("id_", ["cat.jpg", "1.5", "%2Fetc%2Fpasswd", "9" * 5000, "1e3"])
def test_what_is_no_id_is_refused(server: Serving, id_: str) -> None:
    assert error_at(server, f"/v1/photos/{id_}/thumbnail")[0] in (404, 422)


@pytest.mark.parametrize("side", ["0", "-5", "5000", "large", ""])
def test_a_side_that_is_none_is_refused(server: Serving, ids: dict[str, int], side: str) -> None:
    assert error_at(server, f"/v1/photos/{ids['cat.jpg']}/picture?side={side}") == (422, "invalid_request")


def test_a_file_that_is_gone_has_its_thumbnail_left(server: Serving, ids: dict[str, int]) -> None:
    assert error_at(server, f"/v1/photos/{ids['gone.jpg']}/picture") == (404, "missing")
    assert server.client.get(f"/v1/photos/{ids['gone.jpg']}/thumbnail").status_code == 200


def test_a_file_that_is_another_by_now_is_not_shown_in_its_place(server: Serving, ids: dict[str, int]) -> None:
    assert error_at(server, f"/v1/photos/{ids['changed.jpg']}/picture") == (410, "photo_changed")


def test_a_file_that_was_touched_only_is_shown(server: Serving, ids: dict[str, int]) -> None:
    assert server.client.get(f"/v1/photos/{ids['touched.jpg']}/picture").status_code == 200


def test_a_photograph_whose_disk_is_away_is_said_to_be_offline(tmp_path: Path) -> None:
    photos = IndexedPhotos(tmp_path / "disk", tmp_path / "photos.db")
    write_photographs(photos.folder)
    index_photographs(photos)
    ids = photos.ids()
    photos.folder.rename(tmp_path / "unplugged")
    with serving(photos.settings(update=False)) as running:
        answer = running.client.get(f"/v1/photos/{ids['cat.jpg']}/picture")
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "photo_offline"
        assert str(tmp_path) not in answer.text
        assert running.client.get(f"/v1/photos/{ids['cat.jpg']}/thumbnail").status_code == 200


def test_files_beside_the_index_have_no_address(server: Serving, photos: IndexedPhotos) -> None:
    for address in (
        f"/v1/photos/{photos.folder}/diary.jpg",
        "/v1/photos/..%2F..%2Fphotos.db/thumbnail",
        "/v1/photos/1/thumbnail/../../../photos.db",
    ):
        answer = server.client.get(address)
        assert answer.status_code in (404, 422)
        assert str(photos.folder.parent) not in answer.text.replace(address, "")
