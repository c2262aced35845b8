from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import clipwright
from tests.support import COMMAND, REFERENCE, run_cli, run_on_full_disk

PHOTOS = [REFERENCE / "pictures" / name for name in ("rocket.jpg", "coffee.jpg", "noise-1x1.png")]
DIM = 16


def vectors_of(path: Path) -> tuple[list[str], np.ndarray]:
    """Sources and vectors in what embed wrote, whatever its kind; failures left out."""
    if path.suffix == ".npy":
        return json.loads(path.with_name(path.name + ".sources.json").read_text("utf-8"))["sources"], np.load(path)
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        return table["source"].to_pylist(), np.array(table["embedding"].to_pylist(), np.float32).reshape(-1, DIM)
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    good = [record for record in records if "embedding" in record]
    return [record["source"] for record in good], np.array([record["embedding"] for record in good], np.float32)


@pytest.mark.parametrize("name", ["v.npy", "v.parquet", "v.jsonl"])
def test_every_kind_of_file_holds_the_same_rows_and_no_failures(
    tiny_model: Path, bad_photos: dict[str, Path], tmp_path: Path, name: str
) -> None:
    photos = [PHOTOS[0], bad_photos["truncated"], bad_photos["no_pictures"], *PHOTOS[1:], bad_photos["missing"]]
    answer = run_cli("embed", *photos, "--text", "a cat", "--model", tiny_model, "--out", tmp_path / name)
    assert (answer.status, answer.stdout) == (1, "")
    assert [line.split(": ")[1] for line in answer.stderr.splitlines()] == [
        str(bad_photos[code]) for code in ("truncated", "no_pictures", "missing")
    ]
    sources, vectors = vectors_of(tmp_path / name)
    assert sources == ["a cat", *map(str, PHOTOS)]
    embedder = clipwright.load(tiny_model)
    expected = np.concatenate([embedder.embed_texts(["a cat"]), embedder.embed_images(PHOTOS)])
    assert vectors.dtype == np.float32
    assert np.abs(vectors - expected).max() < 1e-5
    assert {path.name for path in tmp_path.glob("*v.*")} == {name, *(["v.npy.sources.json"] if "npy" in name else [])}


def test_json_lines_hold_failures_in_their_places(tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "v.jsonl"
    run_cli("embed", PHOTOS[0], tmp_path / "lost.jpg", PHOTOS[1], "--model", tiny_model, "--out", out)
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert [list(record) for record in records] == [
        ["source", "space_id", "variant", "embedding"],
        ["source", "error"],
        ["source", "space_id", "variant", "embedding"],
    ]
    assert records[1]["error"] == {"code": "missing", "message": "no such file"}


def test_json_lines_go_to_stdout_where_no_file_is_named(tiny_model: Path) -> None:
    answer = run_cli("embed", PHOTOS[0], "--texts", "a cat, a dog", "--model", tiny_model)
    records = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [record["source"] for record in records] == ["a cat", "a dog", str(PHOTOS[0])]
    vectors = np.array([record["embedding"] for record in records], np.float32)
    assert np.array_equal(vectors[:2], clipwright.load(tiny_model).embed_texts(["a cat", "a dog"]))


@pytest.mark.parametrize("name", ["v.npy", "v.parquet"])
def test_where_every_photo_fails_the_file_has_no_rows_of_the_right_width(
    tiny_model: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    assert run_cli("embed", tmp_path / "lost.jpg", "--model", tiny_model, "--out", out).status == 1
    sources, vectors = vectors_of(out)
    assert (sources, vectors.shape) == ([], (0, DIM))
    if name == "v.parquet":
        assert pq.read_schema(out).field("embedding").type.list_size == DIM


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "nothing to embed; name photographs or folders, or give --text 'a cat'"),
        (
            ["cat.jpg", "--texts", "lost.txt"],
            "there is no file 'lost.txt'; name a file with one text a line, or give the",
        ),
        (["cat.jpg", "--texts", os.devnull], f"--texts {os.devnull!r} has no text in it; write one a line"),
        (["--texts", "a,,b"], "a text is empty"),
        (["--text", "  "], "a text is empty"),
        (["--text", "a", "--out", "vectors.csv"], "--out 'vectors.csv' must end in .npy or .parquet or .jsonl"),
        (["--text", "a", "--out", "lost/vectors.npy"], "there is no folder 'lost'; make it first"),
    ],
)
def test_a_wrong_request_is_refused_before_the_model_is_opened(arguments: list[str], complaint: str) -> None:
    answer = run_cli("embed", *arguments, "--model", "there is none")
    assert (answer.status, answer.stdout) == (2, "")
    assert answer.stderr.startswith("error: ")
    assert complaint in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_a_wrong_model_leaves_no_file(tmp_path: Path) -> None:
    assert run_cli("embed", "--text", "a", "--model", "startr", "--out", tmp_path / "v.jsonl").status == 2
    assert not list(tmp_path.iterdir())


# What happens to the machine


@pytest.mark.parametrize("name", ["v.npy", "v.parquet"])
def test_a_full_disk_is_status_3_and_leaves_what_was_there_whole(tiny_model: Path, tmp_path: Path, name: str) -> None:
    """600 vectors take 38 kB, their sources 7 kB."""
    out = tmp_path / name
    assert run_cli("embed", "--text", "earlier", "--model", tiny_model, "--out", out).status == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"cat {number}\n" for number in range(600)))
    answer = run_on_full_disk(16_000, "embed", "--texts", texts, "--model", tiny_model, "--out", out)
    assert (answer.status, answer.stdout) == (3, "")
    assert answer.stderr.startswith("error: ")
    assert "File too large" in answer.stderr
    assert answer.stderr.count("\n") == 1
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != "texts.txt"}
    assert after == before


def test_vectors_are_stored_with_their_space_and_variant(tiny_model: Path, tmp_path: Path) -> None:
    made = {"space_id": clipwright.load(tiny_model).space_id, "variant": "fast-int8"}
    how = ("--model", tiny_model, "--pixels", "fast", "--precision", "int8")
    for name in ("v.npy", "v.jsonl", "v.parquet"):
        assert run_cli("embed", PHOTOS[0], "--out", tmp_path / name, *how).status == 0
    beside = json.loads((tmp_path / "v.npy.sources.json").read_text("utf-8"))
    line = json.loads((tmp_path / "v.jsonl").read_text("utf-8"))
    metadata = {key.decode(): value.decode() for key, value in pq.read_schema(tmp_path / "v.parquet").metadata.items()}
    for record in (beside, line, metadata):
        assert {key: record[key] for key in made} == made


def test_many_photographs_are_embedded_faster_and_that_is_said(tiny_model: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(101):
        (photos / f"{number:04}.jpg").symlink_to(PHOTOS[0])
    arguments = ("embed", photos, "--model", tiny_model, "--out", tmp_path / "v.npy")
    assert "--pixels fast and --precision auto" in run_cli(*arguments).stderr
    assert "note" not in run_cli(*arguments, "--precision", "fp32", "--pixels", "exact").stderr
    assert "--pixels exact and --precision auto" in run_cli(*arguments, "--pixels", "exact").stderr


def test_ctrl_c_keeps_what_was_embedded(tiny_model: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(3000):
        (photos / f"{number:04}.jpg").symlink_to(PHOTOS[0])
    out = tmp_path / "v.npy"
    exact = ["--pixels", "exact", "--precision", "fp32"]
    found = (PHOTOS[0], tmp_path / "lost.jpg", photos)
    arguments: list[str | Path] = [COMMAND, "embed", *found, "--model", tiny_model, "--out", out, *exact]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().endswith("no such file\n")  # the first batch is done
        process.send_signal(signal.SIGINT)
        assert process.stderr.read().strip() == "interrupted: stopped"
    assert process.returncode == 130
    sources, vectors = vectors_of(out)
    assert 0 < len(sources) < 3001
    assert sources == [str(PHOTOS[0]), *(str(photos / f"{number:04}.jpg") for number in range(len(sources) - 1))]
    assert vectors.shape == (len(sources), DIM)
