from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

import clipwright
from tests.support import run_cli, run_on_full_disk


def test_table_has_a_row_for_each_text_in_the_order_given(tiny_model: Path, photo: Path) -> None:
    answer = run_cli("similarity", photo, "--text", "z, or a", "--texts", "b, a", "--model", tiny_model)
    assert (answer.status, answer.stderr) == (0, "")
    assert [line[32:].split(maxsplit=1)[1] for line in answer.stdout.splitlines()] == ["b", "a", "z, or a"]


def test_json_has_the_cosines_of_the_library(tiny_model: Path, photo: Path) -> None:
    answer = run_cli("similarity", photo, "--texts", "a cat, a dog", "--json", "--model", tiny_model)
    record = json.loads(answer.stdout)
    assert list(record) == ["source", "similarities"]
    assert [list(pair) for pair in record["similarities"]] == [["text", "similarity"]] * 2
    expected = clipwright.similarity(clipwright.load(tiny_model), [photo], ["a cat", "a dog"])[0]
    assert [pair["similarity"] for pair in record["similarities"]] == pytest.approx(expected, abs=1e-6)


def test_the_matrix_is_drawn_without_the_photographs_that_failed(
    tiny_model: Path, photo: Path, bad_photos: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "matrix.png"
    arguments: list[str | Path] = ["--text", "a cat", "--text", "a dog", "--model", tiny_model, "--out", out]
    sizes = []
    for photos in ([photo], [photo, *bad_photos.values()], [photo, photo, photo]):
        answer = run_cli("similarity", *photos, *arguments)
        assert answer.status == (1 if len(photos) > 3 else 0)
        with Image.open(out) as picture:
            assert picture.format == "PNG"
            sizes.append(picture.size)
    assert sizes[1] == sizes[0]
    assert sizes[2] == (sizes[0][0], sizes[0][1] + 2 * 99)
    assert not list(tmp_path.glob(".*"))


def test_a_bad_photo_is_a_failure_in_json_too(tiny_model: Path, tmp_path: Path) -> None:
    answer = run_cli("similarity", tmp_path / "lost.jpg", "--text", "a", "--json", "--model", tiny_model)
    assert answer.status == 1
    assert json.loads(answer.stdout) == {
        "source": str(tmp_path / "lost.jpg"),
        "error": {"code": "missing", "message": "no such file"},
    }


def test_a_full_disk_leaves_the_earlier_matrix_whole(tiny_model: Path, photo: Path, tmp_path: Path) -> None:
    arguments: list[str | Path] = [
        "similarity",
        photo,
        "--text",
        "a cat",
        "--model",
        tiny_model,
        "--out",
        tmp_path / "matrix.png",
    ]
    assert run_cli(*arguments).status == 0
    before = (tmp_path / "matrix.png").read_bytes()
    answer = run_on_full_disk(2000, *arguments, "--text", "a dog")
    assert (answer.status, answer.stderr) == (3, f"error: File too large: {tmp_path / 'matrix.png'}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["matrix.png"]
    assert (tmp_path / "matrix.png").read_bytes() == before


def test_where_every_photo_fails_nothing_is_drawn(tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "matrix.png"
    assert run_cli("similarity", tmp_path / "no.jpg", "--text", "a", "--model", tiny_model, "--out", out).status == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "no text to compare with, or an empty one"),
        (["--texts", "a,,b"], "no text to compare with, or an empty one"),
        (["--text", " "], "no text to compare with, or an empty one"),
        (["--text", "a", "--out", "matrix.bmp"], "--out 'matrix.bmp' must end in .png"),
        (["--text", "a", "--out", "lost/matrix.png"], "there is no folder 'lost'"),
    ],
)
def test_a_wrong_request_is_refused_before_the_model_is_opened(
    photo: Path, arguments: list[str], complaint: str
) -> None:
    answer = run_cli("similarity", photo, *arguments, "--model", "there is none")
    assert (answer.status, answer.stdout) == (2, "")
    assert answer.stderr.startswith("error: ")
    assert complaint in answer.stderr
    assert answer.stderr.count("\n") == 1
