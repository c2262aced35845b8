from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipwright.checkpoints.model_file import save_model
from tests.support import run_cli, tiny_checkpoint

COLOURS = {"red.jpg": "red", "green.jpg": "green", "trip/blue.png": "blue"}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """An index of three photographs in a folder 'photos' beside it; the first says when and with what it was taken."""
    folder = tmp_path_factory.mktemp("searched")
    for name, colour in COLOURS.items():
        (folder / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        picture = Image.new("RGB", (60, 40), colour)
        exif = picture.getexif()
        if colour == "red":
            exif[0x0110] = "EOS 80D"
            exif.get_ifd(0x8769)[0x9003] = "2024:05:31 13:30:00"
        picture.save(folder / "photos" / name, exif=exif)
    path = folder / "photos.db"
    assert run_cli("index", folder / "photos", "--index", path, "--model", tiny_model).status == 0
    return path


def found(*arguments: str | Path) -> list[str]:
    """The names of what a search finds."""
    answer = run_cli("search", *arguments, "--json")
    assert answer.status == 0, answer.stderr
    return [Path(json.loads(line)["source"]).name for line in answer.stdout.splitlines()]


def test_every_photograph_is_ranked_best_first(database: Path) -> None:
    answer = run_cli("search", "a", "red", "car", "--index", database, "--json")
    records = [json.loads(line) for line in answer.stdout.splitlines()]
    assert (answer.status, answer.stderr) == (0, "")
    assert {Path(record["source"]).name for record in records} == {"red.jpg", "green.jpg", "blue.png"}
    similarities = [record["similarity"] for record in records]
    assert similarities == sorted(similarities, reverse=True)
    assert all(0 <= record["relevance"] <= 1 for record in records)
    assert found("a red car", "--index", database) == [Path(record["source"]).name for record in records]


def test_more_results_never_change_the_first(database: Path) -> None:
    assert found("a cat", "--index", database, "--top", "1") == found("a cat", "--index", database)[:1]


def test_what_is_like_a_photograph_of_the_index_needs_no_model(database: Path, tmp_path: Path) -> None:
    photo = database.parent / "photos" / "green.jpg"
    code = (
        "import sys; from clipwright.cli import root\n"
        f"root.main({['search', '--index', str(database), '--like', str(photo)]!r}, standalone_mode=False)\n"
        "sys.exit(len({'torch', 'onnxruntime', 'openvino', 'onnx', 'rich'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "red.jpg" in done.stdout
    assert "green.jpg" not in done.stdout


def test_a_photograph_from_elsewhere_finds_its_like(database: Path, tmp_path: Path) -> None:
    Image.new("RGB", (90, 60), "red").save(tmp_path / "other.png")
    assert found("--index", database, "--like", tmp_path / "other.png")[0] == "red.jpg"


def test_words_start_no_runtime(database: Path) -> None:
    code = (
        "import sys; from clipwright.cli import root\n"
        f"root.main({['search', 'a cat', '--index', str(database)]!r}, standalone_mode=False)\n"
        "sys.exit(len({'torch', 'onnxruntime', 'openvino', 'onnx', 'rich'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--after", "2024-05-31"], ["red.jpg"]),
        (["--after", "2024-06"], []),
        (["--before", "2024-05-31T13:31"], ["red.jpg"]),
        (["--camera", "eos"], ["red.jpg"]),
        (["--lens", "50mm"], []),
        (["--near", "48.2,16.4,50"], []),
        (["--path", "*.png"], ["blue.png"]),
        (["--min-megapixels", "1"], []),
    ],
)
def test_filters_keep_what_they_name(options: list[str], names: list[str], database: Path) -> None:
    assert found("a cat", "--index", database, *options) == names


def test_nothing_found_is_said_and_is_no_failure(database: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.html"
    answer = run_cli("search", "a cat", "--index", database, "--after", "2030", "--sheet", sheet)
    assert (answer.status, answer.stdout, answer.stderr) == (0, "", "nothing found\n")
    assert not sheet.exists()


def test_bare_paths_are_for_xargs(database: Path) -> None:
    answer = run_cli("search", "a cat", "--index", database, "--paths0")
    paths = answer.stdout.split("\0")
    assert paths.pop() == ""
    assert all(Path(path).is_file() for path in paths)
    assert len(paths) == 3


def test_what_is_found_can_be_copied_linked_and_laid_on_a_sheet(database: Path, tmp_path: Path) -> None:
    answer = run_cli(
        *("search", "a cat", "--index", database, "--top", "2"),
        *("--copy-to", tmp_path / "copies", "--link-to", tmp_path / "links", "--sheet", tmp_path / "sheet.png"),
    )
    assert answer.status == 0
    assert len(answer.stdout.splitlines()) == 2
    assert len(list((tmp_path / "copies").iterdir())) == len(list((tmp_path / "links").iterdir())) == 2
    assert all(path.is_symlink() and path.exists() for path in (tmp_path / "links").iterdir())
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
    assert f"copied 2 to {tmp_path / 'copies'}\n" in answer.stderr
    again = run_cli(
        *("search", "a cat", "--index", database, "--top", "3"),
        *("--copy-to", tmp_path / "copies", "--link-to", tmp_path / "links"),
    )
    assert f"copied 1 to {tmp_path / 'copies'}; 2 were there already\n" in again.stderr
    assert f"linked 1 to {tmp_path / 'links'}; 2 were there already\n" in again.stderr


def test_a_photograph_that_cannot_be_copied_is_named_and_the_rest_are(
    tmp_path: Path, tiny_model: Path, database: Path
) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("kept.png", "lost.png"):
        Image.new("RGB", (9, 9), "white" if name == "kept.png" else "black").save(tmp_path / "photos" / name)
    run_cli("index", tmp_path / "photos", "--index", tmp_path / "photos.db", "--model", tiny_model)
    (tmp_path / "photos" / "lost.png").unlink()
    answer = run_cli("search", "a cat", "--index", tmp_path / "photos.db", "--copy-to", tmp_path / "copies")
    assert answer.status == 1
    assert f"failed: {tmp_path / 'photos' / 'lost.png'}: not copied: No such file" in answer.stderr
    assert [path.name for path in (tmp_path / "copies").iterdir()] == ["kept.png"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "say what to look for"),
        (["  "], "say what to look for"),
        (["a cat", "--like", "b.jpg"], "say what to look for"),
        (["+ -"], "error: "),
        (["(a cat"], "error: "),
        (["a cat", "--after", "yesterday"], "'yesterday' is not a date"),
        (["a cat", "--near", "91,0,5"], "91"),
        (["a cat", "--near", "Vienna"], "'Vienna'"),
        (["a cat", "--json", "--paths0"], "--json and --paths0 both want standard output"),
        (["a cat", "--sheet", "sheet.gif"], "--sheet 'sheet.gif' must end in .html or .png"),
        (["a cat", "--sheet", "nowhere/sheet.png"], "there is no folder 'nowhere'"),
        (["a cat", "--top", "1001"], "1001 is not in the range"),
        (["a cat", "--model", "startr"], "did you mean 'starter'?"),
        (["--like", "lost.jpg"], "'lost.jpg' of the query cannot be used: no such file"),
        (["--like", __file__], "not a picture"),
    ],
)
def test_a_wrong_request_is_one_line(arguments: list[str], complaint: str, database: Path) -> None:
    answer = run_cli("search", *arguments, "--index", database)
    assert (answer.status, answer.stdout) == (2, "")
    assert complaint in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_without_an_index_the_way_to_one_is_said(tmp_path: Path) -> None:
    answer = run_cli("search", "a cat", "--index", tmp_path / "none.db")
    assert (answer.status, answer.stdout) == (2, "")
    assert "'clipwright index FOLDER'" in answer.stderr
    assert not list(tmp_path.iterdir())


def test_vectors_of_another_model_are_not_compared(database: Path) -> None:
    answer = run_cli("search", "a cat", "--index", database, "--model", "starter", "--quiet")
    assert (answer.status, answer.stdout) == (2, "")
    assert "cannot be compared" in answer.stderr
    assert f"clipwright index --index {database} --model starter" in answer.stderr


def test_a_model_that_changed_since_is_not_compared(database: Path, tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint()
    model, index = tmp_path / "mine.safetensors", tmp_path / "photos.db"
    save_model(model, checkpoint)
    run_cli("index", database.parent / "photos", "--index", index, "--model", model)
    weights = {name: np.asarray(array) / 2 for name, array in checkpoint.weights.items()}
    save_model(model, dataclasses.replace(checkpoint, weights=weights))
    answer = run_cli("search", "a cat", "--index", index)
    assert answer.status == 2
    assert "is not what it was when it built the index" in answer.stderr
