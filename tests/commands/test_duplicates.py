from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support import REFERENCE, run_cli


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """An index of two photographs, one of them twice."""
    folder = tmp_path_factory.mktemp("duplicates")
    photos = folder / "photos"
    photos.mkdir()
    pictures = sorted((REFERENCE / "pictures").glob("*.jpg"))[:2]
    for picture in pictures:
        shutil.copy(picture, photos)
    shutil.copy(pictures[0], photos / "again.jpg")
    assert run_cli("index", photos, "--index", folder / "photos.db", "--model", tiny_model).status == 0
    return folder / "photos.db"


def test_json_has_a_line_for_each_group(database: Path) -> None:
    answer = run_cli("duplicates", "--index", database, "--json", "--quiet")
    assert (answer.status, answer.stderr) == (0, "")
    (group,) = [json.loads(line) for line in answer.stdout.splitlines()]
    assert group["kind"] == "same file"
    assert len(group["photos"]) == 2
    assert list(group["photos"][0]) == ["source", "id", "size", "width", "height", "taken", "offline"]
    assert "again.jpg" in {Path(photo["source"]).name for photo in group["photos"]}


def test_groups_are_read_easily_and_summed_up(database: Path) -> None:
    answer = run_cli("duplicates", "--index", database)
    head, *rows = answer.stdout.splitlines()
    assert head == "same file: 2 photographs"
    assert len(rows) == 2
    assert all(" x " in row and " kB " in row for row in rows)
    assert answer.stderr.startswith("groups: 1 same file; all but the largest file of each take ")


def test_other_kinds_are_left_out(database: Path) -> None:
    answer = run_cli("duplicates", "--index", database, "--kind", "shot", "--kind", "picture")
    assert (answer.status, answer.stdout, answer.stderr) == (0, "", "none found\n")


def test_nothing_is_deleted(database: Path) -> None:
    before = sorted(path.name for path in (database.parent / "photos").iterdir())
    run_cli("duplicates", "--index", database)
    assert sorted(path.name for path in (database.parent / "photos").iterdir()) == before


def test_what_is_no_index_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("Dear diary")
    answer = run_cli("duplicates", "--index", tmp_path / "notes.db")
    assert (answer.status, answer.stdout) == (2, "")
    assert "is not an index" in answer.stderr
