from __future__ import annotations

import json
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.graph_folders import graph_folder
from tests.support import COMMAND, run_cli

NOTHING = {"new": 0, "changed": 0, "moved": 0, "copied": 0, "removed": 0, "unchanged": 0, "failed": 0}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with three photographs."""
    folder = tmp_path / "photos"
    (folder / "trip").mkdir(parents=True)
    for name, colour in (("red.jpg", "red"), ("green.jpg", "green"), ("trip/blue.png", "blue")):
        Image.new("RGB", (60, 40), colour).save(folder / name)
    return folder


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "photos.db"


def counts(line: str) -> dict[str, int]:
    """The numbers of the last line, by their words."""
    parts = [part.split(maxsplit=1) for part in line.strip().splitlines()[-1].split(", ")]
    return {word: int(number.replace(",", "")) for number, word in parts}


def test_new_changed_moved_and_removed_files_are_counted(photos: Path, database: Path, tiny_model: Path) -> None:
    answer = run_cli("index", photos, "--index", database, "--model", tiny_model, "--quiet")
    assert (answer.status, answer.stderr) == (0, "")
    assert counts(answer.stdout) == NOTHING | {"new": 3}
    assert counts(run_cli("index", "--index", database).stdout) == NOTHING | {"unchanged": 3}
    Image.new("RGB", (50, 50), "white").save(photos / "red.jpg")
    (photos / "trip" / "blue.png").rename(photos / "sea.png")
    (photos / "green.jpg").unlink()
    again = run_cli("index", "--index", database)
    assert counts(again.stdout) == NOTHING | {"changed": 1, "moved": 1, "removed": 1}


def test_what_failed_before_is_not_counted_as_unchanged(photos: Path, database: Path, tiny_model: Path) -> None:
    (photos / "lost.jpg").symlink_to(photos / "nowhere.jpg")
    (photos / "empty.jpg").touch()
    answer = run_cli("index", photos, "--index", database, "--model", tiny_model, "--quiet")
    assert counts(answer.stdout) == NOTHING | {"new": 3, "failed": 2}
    again = counts(run_cli("index", "--index", database).stdout)
    assert again == NOTHING | {"unchanged": 3, "failed before and left alone": 2}


def test_a_photograph_that_fails_is_named_and_counted_by_reason(
    photos: Path, database: Path, tiny_model: Path, bad_photos: dict[str, Path]
) -> None:
    shutil.copy(bad_photos["truncated"], photos)
    shutil.copy(bad_photos["not_an_image"], photos)
    answer = run_cli("index", photos, "--index", database, "--model", tiny_model, "--quiet")
    assert answer.status == 1
    assert counts(answer.stdout) == NOTHING | {"new": 3, "failed": 2}
    named, reasons = answer.stderr.splitlines()[:-1], answer.stderr.splitlines()[-1]
    assert sorted(named) == [
        f"failed: {photos / 'cut.jpg'}: the file ends before the picture does",
        f"failed: {photos / 'text.jpg'}: not a picture in any format that is read here",
    ]
    assert reasons.startswith("failed, 2 in all: ")
    assert "1 truncated" in reasons
    assert "1 not an image" in reasons
    again = run_cli("index", "--index", database)
    assert (again.status, again.stderr) == (0, "")
    assert counts(again.stdout) == NOTHING | {"unchanged": 3, "failed before and left alone": 2}


def test_what_looks_like_a_picture_and_is_not_read_is_said_once(photos: Path, database: Path, tiny_model: Path) -> None:
    for name in ("a.psd", "b.PSD", "trip/c.svg"):
        (photos / name).touch()
    answer = run_cli("index", photos, "--index", database, "--model", tiny_model)
    assert (answer.status, counts(answer.stdout)) == (0, NOTHING | {"new": 3})
    assert answer.stderr.splitlines()[-1] == "passed over: 2 .psd, 1 .svg (not read by clipwright)"
    assert answer.stderr.count("passed over") == 1
    assert run_cli("index", "--index", database, "--quiet").stderr == ""


def test_the_model_that_built_the_index_stays_its_model(photos: Path, database: Path, tiny_model: Path) -> None:
    run_cli("index", photos, "--index", database, "--model", tiny_model)
    Image.new("RGB", (50, 50), "white").save(photos / "new.jpg")
    answer = run_cli("index", "--index", database)
    assert "starter" not in answer.stderr
    (model,) = json.loads(run_cli("info", database, "--json").stdout)["models"]
    assert (model["model"], model["vectors"]) == (str(tiny_model), 4)


def test_a_model_named_from_here_is_found_from_elsewhere(
    photos: Path, database: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_model.parent)
    run_cli("index", photos, "--index", database, "--model", tiny_model.name)
    monkeypatch.chdir(tmp_path)
    assert run_cli("search", "red", "--index", database).status == 0


def test_a_variant_named_from_here_is_found_from_elsewhere(
    photos: Path, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = graph_folder(tmp_path / "graphs")
    for tower in ("vision", "text"):
        (folder / f"onnx/{tower}_model.onnx").rename(folder / f"onnx/{tower}_model_fp16.onnx")
    monkeypatch.chdir(tmp_path)
    run_cli("index", photos, "--index", database, "--model", "graphs:fp16")
    monkeypatch.chdir("/")
    assert run_cli("search", "red", "--index", database).status == 0
    (model,) = json.loads(run_cli("info", database, "--json").stdout)["models"]
    assert (model["model"], model["variants"]) == (f"{folder}:fp16", {"fast-fp16": 3})


def test_patterns_exclude_now_and_later_until_they_are_taken_back(
    photos: Path, database: Path, tiny_model: Path
) -> None:
    answer = run_cli("index", photos, "--index", database, "--model", tiny_model, "--exclude", "trip/")
    assert counts(answer.stdout) == NOTHING | {"new": 2}
    assert counts(run_cli("index", "--index", database).stdout) == NOTHING | {"unchanged": 2}
    assert counts(run_cli("index", photos, "--index", database).stdout) == NOTHING | {"unchanged": 2}
    assert f"{photos}  2  (excluded: trip/)" in run_cli("info", database).stdout
    other = run_cli("index", "--index", database, "--exclude", "red.*")
    assert counts(other.stdout) == NOTHING | {"new": 1, "removed": 1, "unchanged": 1}
    assert f"warning: {photos}: the new patterns take the place of the old ones; no longer excluded: trip/" in (
        other.stderr.splitlines()
    )
    last = run_cli("index", "--index", database, "--no-exclude")
    assert (last.stderr, counts(last.stdout)) == ("", NOTHING | {"new": 1, "unchanged": 2})


def test_thumbnails_are_kept_unless_told_otherwise(
    photos: Path, database: Path, tiny_model: Path, tmp_path: Path
) -> None:
    for path, options, kept in ((database, [], 3), (tmp_path / "bare.db", ["--no-thumbnails"], 0)):
        run_cli("index", photos, "--index", path, "--model", tiny_model, *options)
        record = json.loads(run_cli("info", path, "--json").stdout)
        assert (record["thumbnails"], record["folders"][0]["thumbnails"]) == (kept, kept > 0)
    Image.new("RGB", (50, 50), "white").save(photos / "new.jpg")
    for options, kept in (([], 0), (["--thumbnails"], 1)):
        run_cli("index", "--index", tmp_path / "bare.db", *options)
        assert json.loads(run_cli("info", tmp_path / "bare.db", "--json").stdout)["thumbnails"] == kept
        Image.new("RGB", (50, 50), "black").save(photos / "newer.jpg")


def test_a_folder_is_forgotten_on_purpose_and_its_files_stay(photos: Path, database: Path, tiny_model: Path) -> None:
    run_cli("index", photos, "--index", database, "--model", tiny_model)
    answer = run_cli("index", "--index", database, "--forget", photos)
    assert answer.status == 0
    assert answer.stdout.startswith(f"3 photographs of {photos} forgotten")
    assert (photos / "red.jpg").exists()
    assert json.loads(run_cli("info", database, "--json").stdout)["photographs"] == 0


def test_a_folder_that_is_gone_is_offline_and_its_photographs_stay(
    photos: Path, database: Path, tiny_model: Path
) -> None:
    run_cli("index", photos, "--index", database, "--model", tiny_model)
    photos.rename(photos.with_name("unplugged"))
    answer = run_cli("index", "--index", database)
    assert f"offline: {photos}" in answer.stderr
    record = json.loads(run_cli("info", database, "--json").stdout)
    assert (record["photographs"], record["offline"]) == (3, 3)
    hits = run_cli("search", "red", "--index", database, "--json").stdout.splitlines()
    assert all(json.loads(hit)["offline"] for hit in hits)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "does not exist"),
        (["--forget", "somewhere"], "does not exist"),
        (["here", "--forget", "somewhere"], "--forget removes one folder"),
        (["--watch", "--forget", "somewhere"], "--forget removes one folder"),
        (["--exclude", "a", "--forget", "somewhere"], "--forget removes one folder"),
        (["--exclude", "a", "--no-exclude", "here"], "contradict each other"),
        (["--model", "startr", "here"], "did you mean 'starter'?"),
    ],
)
def test_a_wrong_request_is_refused(arguments: list[str], complaint: str, database: Path) -> None:
    answer = run_cli("index", "--index", database, *arguments)
    assert (answer.status, answer.stdout) == (2, "")
    assert complaint in answer.stderr
    assert answer.stderr.count("\n") == 1


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_done(photos: Path, database: Path, tiny_model: Path) -> None:
    for number in range(3000):
        Image.new("RGB", (8, 8), (number % 256, number // 256, 99)).save(photos / f"{number:04}.png")
    arguments: list[str | Path] = [
        COMMAND, "index", photos, "--index", database, "--model", tiny_model, "--batch-size", "1", "--threads", "1"
    ]  # fmt: skip
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while not (database.exists() and held(database)):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        complaint = process.stderr.read()
    assert process.returncode == 130
    assert complaint.strip().endswith("interrupted: what was done is kept; the same command goes on from there")
    kept = held(database)
    assert 0 < kept < 3003
    done = counts(run_cli("index", "--index", database).stdout)
    assert done["new"] == 3003 - kept


def held(database: Path) -> int:
    """How many photographs an index holds; 0 while it is being made."""
    answer = run_cli("info", database, "--json")
    return int(json.loads(answer.stdout)["photographs"]) if answer.status == 0 else 0
