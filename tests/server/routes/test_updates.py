"""Updates of the index over HTTP: jobs to their end, stopped and killed; searches meanwhile; no path in any answer."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from clipwright.index.lock import only_indexer
from clipwright.server.library import update_process
from clipwright.server.settings import ModelSettings, ServerSettings
from tests.server.indexed_photos import (
    NAMES,
    ONNX,
    IndexedPhotos,
    index_photographs,
    names_of,
    strings_in,
    write_photographs,
    write_shapes,
)
from tests.server.serving import Serving, serving, serving_process

_PATIENCE = 120.0
_MANY = 3_000
Indexed = tuple[Serving, IndexedPhotos, dict[str, Any]]


@pytest.fixture
def photos(tmp_path: Path) -> IndexedPhotos:
    """Not indexed yet."""
    made = IndexedPhotos(tmp_path / "trip", tmp_path / "deeper" / "photos.db")
    write_photographs(made.folder)
    return made


@pytest.fixture
def server(photos: IndexedPhotos) -> Iterator[Serving]:
    """Without an index."""
    with serving(photos.settings(update=False)) as running:
        yield running


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Indexed]:
    """A server, its photographs, and the job that has indexed them; they are only looked at."""
    folder = tmp_path_factory.mktemp("indexed")
    made = IndexedPhotos(folder / "trip", folder / "deeper" / "photos.db")
    write_photographs(made.folder)
    (made.folder / "drawing.psd").touch()  # which is not even tried
    with serving(made.settings(update=False)) as running:
        yield running, made, updated(running)


@pytest.fixture
def begun(photos: IndexedPhotos) -> IndexedPhotos:
    """The photographs, indexed before the server starts."""
    photos.database.parent.mkdir()
    index_photographs(photos)
    return photos


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One whose index nothing is to change."""
    folder = tmp_path_factory.mktemp("refusing")
    (folder / "trip").mkdir()
    settings = ServerSettings(
        models=("starter",), model=ONNX, database=folder / "photos.db", roots=(folder / "trip",), update=False
    )
    with serving(settings) as running:
        yield running


def until(condition: Callable[[], Any]) -> Any:
    """What the condition gives once that is true."""
    end = time.monotonic() + _PATIENCE
    while not (value := condition()):
        assert time.monotonic() < end, "this did not come true in time"
        time.sleep(0.02)
    return value


def start(server: Serving, **asked: Any) -> dict[str, Any]:
    answer = server.client.post("/v1/index", json=asked)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/index/jobs/{job['id']}"
    return job


def job_of(server: Serving, id_: str) -> dict[str, Any]:
    job: dict[str, Any] = server.client.get(f"/v1/index/jobs/{id_}").json()
    return job


def ended(server: Serving, id_: str) -> dict[str, Any]:
    job: dict[str, Any] = until(lambda: job if (job := job_of(server, id_))["state"] != "running" else None)
    return job


def updated(server: Serving, **asked: Any) -> dict[str, Any]:
    job = ended(server, start(server, **asked)["id"])
    assert job["state"] == "done", job
    return job


def process_of_update(parent: int | None = None) -> psutil.Process:
    """The one that this process, or another, has started."""

    def found() -> psutil.Process | None:
        for child in psutil.Process(parent).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if update_process.__name__ in child.cmdline():
                    return child
        return None

    process: psutil.Process = until(found)
    return process


def error_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_without_an_index_the_server_says_so_and_a_job_makes_it(photos: IndexedPhotos) -> None:
    """With the model as a server has it by default."""
    with serving(photos.settings(update=False, model=ModelSettings())) as server:
        before = server.client.get("/v1/index").json()
        assert (before["photographs"], before["searchable"], before["job"]) == (0, False, None)
        assert "no index yet" in before["reason"]
        assert before["roots"] == [{"name": "trip", "photographs": 0, "offline": False}]
        for asked in ({}, {"query": "a cat"}, {"like": 1}):
            assert error_of(server.client.post("/v1/search", json=asked)) == (409, "no_index")
        for address in ("/v1/photos/1", "/v1/photos/1/thumbnail", "/v1/index/facets", "/v1/index/failures"):
            assert error_of(server.client.get(address)) == (409, "no_index")

        job = updated(server)
        assert (job["roots"], job["done"], job["total"], job["failed"], job["error"]) == (["trip"], 5, 5, 1, None)
        assert (job["counts"]["added"], job["counts"]["failed"]) == (4, 1)
        assert job["started"] <= job["ended"]

        after = server.client.get("/v1/index").json()
        assert (after["photographs"], after["searchable"], after["reason"], after["model"]) == (
            4,
            True,
            None,
            "starter",
        )
        assert after["failures"] == {"not_an_image": 1}
        assert after["job"] == job
        assert names_of(server.client.post("/v1/search", json={"query": "a cat"}).json())[0] == "cat.jpg"


def test_files_that_could_not_be_used_are_listed_by_name(indexed: Indexed) -> None:
    server, _, job = indexed
    assert job["counts"]["passed_over"] == 1
    (failure,) = server.client.get("/v1/index/failures").json()["data"]
    assert (failure["name"], failure["code"]) == ("diary.jpg", "not_an_image")
    assert failure["message"]
    assert server.client.get("/v1/index/failures", params={"limit": 0}).status_code == 422


def test_facets_tell_cameras_years_and_places(indexed: Indexed) -> None:
    server, photos, _ = indexed
    facets = server.client.get("/v1/index/facets").json()
    assert facets["cameras"] == [{"name": "Canon EOS 5D", "photographs": 2}, {"name": "Nikon D750", "photographs": 1}]
    assert facets["years"] == [{"year": year, "photographs": 1} for year in (2023, 2021, 2019)]
    ids = photos.ids()
    assert {place["photo"] for place in facets["places"]} == {ids["cat.jpg"], ids["coffee.jpg"]}
    berlin = next(place for place in facets["places"] if place["photo"] == ids["cat.jpg"])
    assert (berlin["latitude"], berlin["longitude"]) == pytest.approx((52.52, 13.405), abs=0.01)


def test_an_index_that_grows_is_searched_as_it_is(begun: IndexedPhotos, server: Serving) -> None:
    photos = begun
    assert set(names_of(server.client.post("/v1/search", json={}).json())) == {*NAMES}
    write_shapes(photos.folder / "more", 3)
    (photos.folder / "rocket.jpg").unlink()
    counts = updated(server)["counts"]
    assert (counts["added"], counts["removed"]) == (3, 1)
    names = set(names_of(server.client.post("/v1/search", json={}).json()))
    assert names == {*NAMES, "00000.png", "00001.png", "00002.png"} - {"rocket.jpg"}


def test_an_index_that_another_process_updates_is_noticed(begun: IndexedPhotos, server: Serving) -> None:
    assert len(server.client.post("/v1/search", json={"query": "a cat"}).json()["data"]) == 4
    write_shapes(begun.folder, 2)
    index_photographs(begun)
    assert len(server.client.post("/v1/search", json={"query": "a cat"}).json()["data"]) == 6


def test_what_was_excluded_elsewhere_stays_out(server: Serving, photos: IndexedPhotos) -> None:
    photos.database.parent.mkdir()
    index_photographs(photos, excludes=["cat.jpg", "*.png"])
    write_shapes(photos.folder, 2)
    counts = updated(server)["counts"]
    assert (counts["found"], counts["added"], counts["removed"]) == (4, 0, 0)
    assert set(names_of(server.client.post("/v1/search", json={}).json())) == {*NAMES} - {"cat.jpg"}


def test_an_index_that_is_replaced_or_removed_is_noticed(photos: IndexedPhotos, tmp_path: Path) -> None:
    other = IndexedPhotos(tmp_path / "other", tmp_path / "other.db")
    write_shapes(other.folder, 2)
    index_photographs(other)
    photos.database.parent.mkdir()
    index_photographs(photos)
    with serving(photos.settings(update=False)) as server:
        assert len(server.client.post("/v1/search", json={"query": "a cat"}).json()["data"]) == 4
        other.database.replace(photos.database)
        assert len(server.client.post("/v1/search", json={"query": "a cat"}).json()["data"]) == 2
        assert server.client.get("/v1/index").json()["photographs"] == 2
        photos.database.unlink()
        assert error_of(server.client.post("/v1/search", json={"query": "a cat"})) == (409, "no_index")
        shutil.rmtree(photos.database.with_name("photos.db.derived"), ignore_errors=True)
        updated(server, roots=["trip"])
        assert len(server.client.post("/v1/search", json={"query": "a cat"}).json()["data"]) == 4


def test_a_file_that_is_no_index_is_refused_without_its_path(photos: IndexedPhotos) -> None:
    photos.database.parent.mkdir()
    photos.database.write_text("Dear diary, " * 1000)
    with serving(photos.settings(update=False)) as server:
        answer = server.client.post("/v1/search", json={"query": "a cat"})
        assert error_of(answer) == (503, "index_unusable")
        assert int(answer.headers["retry-after"]) > 0
        assert str(photos.folder.parent) not in answer.text
        assert error_of(server.client.get("/v1/index")) == (503, "index_unusable")
        assert error_of(server.client.post("/v1/index", json={})) == (503, "index_unusable")
        photos.database.unlink()
        updated(server)


def test_a_damaged_index_says_so_and_an_update_salvages_it(photos: IndexedPhotos) -> None:
    photos.database.parent.mkdir()
    write_shapes(photos.folder, 60)
    index_photographs(photos)
    with sqlite3.connect(photos.database) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'photos'").fetchone()
    connection.close()
    with photos.database.open("r+b") as file:
        file.seek((page - 1) * 16_384)
        file.write(b"\xff" * 16_384)
    with serving(photos.settings(update=False)) as server:
        answer = server.client.post("/v1/search", json={"query": "a cat"})
        assert error_of(answer) == (503, "index_damaged")
        assert str(photos.folder.parent) not in answer.text
        updated(server)
        assert len(server.client.post("/v1/search", json={"query": "a cat", "limit": 100}).json()["data"]) == 64


def test_folders_are_named_by_what_they_are_called_and_never_twice(tmp_path: Path) -> None:
    folders = [tmp_path / "a" / "trip", tmp_path / "b" / "trip", tmp_path / "c" / "Übersee"]
    for number, folder in enumerate(folders):
        write_shapes(folder, 2, first=10 * number)
    settings = ServerSettings(
        models=("starter",), model=ONNX, database=tmp_path / "photos.db", roots=tuple(folders), update=False
    )
    with serving(settings) as server:
        names = [root["name"] for root in server.client.get("/v1/index").json()["roots"]]
        assert names == ["trip", "trip (2)", "Übersee"]
        assert updated(server, roots=["trip (2)"])["roots"] == ["trip (2)"]
        counts = {root["name"]: root["photographs"] for root in server.client.get("/v1/index").json()["roots"]}
        assert counts == {"trip": 0, "trip (2)": 2, "Übersee": 0}
        assert updated(server)["roots"] == names
        assert server.client.get("/v1/index").json()["photographs"] == 6


@pytest.mark.parametrize("name", ["other", "", "../trip", "/", "x" * 900])
def test_a_folder_that_the_server_has_not_is_unknown(refusing: Serving, name: str) -> None:
    assert error_of(refusing.client.post("/v1/index", json={"roots": [name]})) == (404, "unknown_root")


def test_a_folder_is_not_named_by_its_path(refusing: Serving) -> None:
    (root,) = refusing.app.state.services.settings.roots
    assert error_of(refusing.client.post("/v1/index", json={"roots": [str(root)]})) == (404, "unknown_root")


@pytest.mark.parametrize("body", [{"roots": "trip"}, {"roots": [1]}, {"folders": []}, {"roots": ["x" * 1001]}])
def test_an_update_that_makes_no_sense_is_refused(refusing: Serving, body: dict[str, Any]) -> None:
    assert error_of(refusing.client.post("/v1/index", json=body)) == (400, "invalid_request")


def test_a_folder_that_is_not_there_is_said_to_be_missing(server: Serving, photos: IndexedPhotos) -> None:
    photos.folder.rename(photos.folder.with_name("elsewhere"))
    assert error_of(server.client.post("/v1/index", json={"roots": ["trip"]})) == (409, "missing")
    assert error_of(server.client.post("/v1/index", json={})) == (409, "no_index")


def test_a_folder_whose_disk_goes_is_offline_and_its_photographs_stay(begun: IndexedPhotos, server: Serving) -> None:
    begun.folder.rename(begun.folder.with_name("elsewhere"))
    updated(server)
    index = server.client.get("/v1/index").json()
    assert index["roots"] == [{"name": "trip", "photographs": 4, "offline": True}]
    assert (index["photographs"], index["offline"], index["searchable"]) == (4, 4, True)
    assert all(hit["offline"] for hit in server.client.post("/v1/search", json={}).json()["data"])


@pytest.mark.parametrize("id_", ["0", "x", "%2Fetc", "9" * 3000])
def test_a_job_that_there_is_not_is_unknown(refusing: Serving, id_: str) -> None:
    for method in ("GET", "DELETE"):
        assert refusing.client.request(method, f"/v1/index/jobs/{id_}").status_code in (404, 405)
    assert error_of(refusing.client.get("/v1/index/jobs/x")) == (404, "unknown_job")


def test_an_index_that_another_process_is_updating_is_busy(server: Serving, photos: IndexedPhotos) -> None:
    photos.database.parent.mkdir()
    with only_indexer(photos.database):
        answer = server.client.post("/v1/index", json={})
    assert error_of(answer) == (409, "index_busy")
    assert str(photos.folder.parent) not in answer.text


def test_a_job_shows_its_progress_and_searches_go_on_meanwhile(begun: IndexedPhotos, server: Serving) -> None:
    write_shapes(begun.folder / "many", 200)
    id_ = start(server)["id"]
    assert error_of(server.client.post("/v1/index", json={})) == (409, "index_busy")
    seen, sizes = [], []
    while (job := job_of(server, id_))["state"] == "running":
        seen.append((job["done"], job["total"]))
        answer = server.client.post("/v1/search", json={"query": "a cat", "limit": 1000, "unique": True})
        assert answer.status_code == 200, answer.text
        sizes.append(len(server.client.post("/v1/search", json={"limit": 1000}).json()["data"]))
        time.sleep(0.02)  # the job is nicer than this process
    assert job["state"] == "done"
    assert seen == sorted(seen, key=lambda pair: pair[0])
    assert any(total == 200 for _, total in seen)
    assert any(0 < done < 200 for done, _ in seen)
    assert sizes == sorted(sizes)
    assert any(4 < size < 204 for size in sizes)
    assert server.client.get("/v1/index/jobs").json()["data"][0]["id"] == id_


@pytest.mark.slow
def test_a_cancelled_job_keeps_what_it_did_and_the_next_one_goes_on(server: Serving, photos: IndexedPhotos) -> None:
    write_shapes(photos.folder / "many", _MANY)
    id_ = start(server)["id"]
    until(lambda: job_of(server, id_)["done"] > 0)
    assert server.client.delete(f"/v1/index/jobs/{id_}").status_code == 202
    job = ended(server, id_)
    assert (job["state"], job["error"], job["counts"]) == ("cancelled", None, None)
    kept = server.client.get("/v1/index").json()["photographs"]
    assert 0 < kept < _MANY
    assert job_of(server, id_) == server.client.delete(f"/v1/index/jobs/{id_}").json()
    assert updated(server)["counts"]["added"] == _MANY + len(NAMES) - kept


@pytest.mark.slow
def test_a_killed_job_fails_with_a_sentence_and_the_server_goes_on(server: Serving, photos: IndexedPhotos) -> None:
    write_shapes(photos.folder / "many", _MANY)
    id_ = start(server)["id"]
    until(lambda: job_of(server, id_)["done"] > 0)
    process_of_update().kill()
    job = ended(server, id_)
    assert (job["state"], job["error"]["code"]) == ("failed", "update_died")
    assert "signal 9" in job["error"]["message"]
    kept = server.client.get("/v1/index").json()["photographs"]
    assert 0 < kept < _MANY
    assert server.client.post("/v1/search", json={"query": "a cat"}).status_code == 200
    assert updated(server)["counts"]["added"] == _MANY + len(NAMES) - kept


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_job_outlives_its_server(photos: IndexedPhotos, how: signal.Signals) -> None:
    write_shapes(photos.folder / "many", _MANY)
    with serving_process("--index", photos.database, "--root", photos.folder) as running, running.client() as client:
        until(lambda: (job := client.get("/v1/index").json()["job"]) and job["done"] > 0)
        update = process_of_update(running.process.pid)
        running.stop(how)
        update.wait(_PATIENCE)
    with contextlib.closing(sqlite3.connect(photos.database)) as connection:
        (kept,) = connection.execute("SELECT COUNT(*) FROM photos").fetchone()
        assert 0 < kept < _MANY
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with only_indexer(photos.database, wait=False):
        pass


@pytest.mark.slow
def test_an_update_goes_behind_the_requests(server: Serving, photos: IndexedPhotos) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows knows no niceness")
    write_shapes(photos.folder / "many", _MANY)
    id_ = start(server)["id"]
    until(lambda: job_of(server, id_)["done"] > 0)
    assert process_of_update().nice() > psutil.Process().nice()
    server.client.delete(f"/v1/index/jobs/{id_}")
    ended(server, id_)


def test_no_answer_tells_where_files_lie(indexed: Indexed) -> None:
    server, photos, _ = indexed
    ids = photos.ids()
    answers = [
        server.client.get(address)
        for address in (
            "/v1/index", "/v1/index/jobs", "/v1/index/failures", "/v1/index/facets", "/v1/index/jobs/x",
            f"/v1/photos/{ids['cat.jpg']}", "/v1/photos/0", "/v1/models", "/openapi.json",
        )
    ]  # fmt: skip
    answers += [
        server.client.post("/v1/search", json=asked)
        for asked in ({}, {"query": "a cat"}, {"query": "./cat.jpg"}, {"like": ids["cat.jpg"]}, {"query": "upload:x"})
    ]
    answers += [server.client.post("/v1/index", json={"roots": ["x"]})]
    for answer in answers:
        for text in strings_in(answer.json()):
            assert str(photos.folder.parent) not in text
            assert "photos.db" not in text


def test_updates_that_are_asked_for_at_once_are_one(server: Serving, photos: IndexedPhotos) -> None:
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(server.client.post("/v1/index", json={}).status_code))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [202] + [409] * 7
    ended(server, server.client.get("/v1/index").json()["job"]["id"])


def test_an_update_whose_model_is_gone_fails_with_a_sentence(
    photos: IndexedPhotos, tiny_model: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model.safetensors"
    shutil.copy(tiny_model, model)
    with serving(photos.settings(models=(str(model),), update=False)) as server:
        model.unlink()
        job = ended(server, start(server)["id"])
        assert (job["state"], job["error"]["code"]) == ("failed", "model_unavailable")
        assert str(tmp_path) not in job["error"]["message"]
