from __future__ import annotations

import base64
import json
import sys

import pytest

from clipwright.commands.hit_table import hit_record, print_hits_json, print_paths0, print_pictures, print_table
from tests.commands.hits import found
from tests.commands.test_output import Terminal


def on_terminal(monkeypatch: pytest.MonkeyPatch, columns: int = 80) -> Terminal:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    return terminal


def test_a_row_has_bar_cosine_date_and_path(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([found()])
    assert capsys.readouterr().out == "██████     75%   0.312  2024-01-01 13:30  /photos/beach.jpg\n"


def test_rows_stay_aligned_where_a_date_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([found(), found(taken=None, relevance=1.0), found(relevance=0.0)])
    rows = capsys.readouterr().out.splitlines()
    assert len({row.index("/photos") for row in rows}) == 1


def test_in_a_pipe_no_path_is_shortened_and_no_head_stands(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/photos/" + "long/" * 60 + "beach.jpg"
    print_table([found(path)])
    (row,) = capsys.readouterr().out.splitlines()
    assert row.endswith(path)


def test_on_a_terminal_rows_fit_and_have_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    print_table([found("/photos/" + "long/" * 60 + "beach.jpg", offline=True)])
    head, row = terminal.getvalue().splitlines()
    assert head.split() == ["relevance", "cosine", "taken", "path"]
    assert len(row) <= 80
    assert row.endswith("beach.jpg  (offline)")


def test_nothing_found_prints_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    print_table([])
    assert not terminal.getvalue()


def test_what_is_offline_or_stands_for_others_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    twin = found(number=2).photo
    print_table([found(offline=True, folded=(twin, twin))])
    assert capsys.readouterr().out.endswith("beach.jpg  (offline)  (+2 alike)\n")


def test_a_name_cannot_move_the_cursor_or_break_the_row(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([found(b"/photos/\x1b[2J\nbad\xe9.jpg")])
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert "\x1b" not in out
    assert out.endswith("/photos/\ufffd[2J\ufffdbad\ufffd.jpg\n")


def test_json_says_all_of_a_hit(capsys: pytest.CaptureFixture[str]) -> None:
    print_hits_json([found(folded=(found("/photos/twin.jpg", number=2).photo,))])
    assert json.loads(capsys.readouterr().out) == {
        "source": "/photos/beach.jpg",
        "similarity": 0.3125,
        "relevance": 0.75,
        "taken": "2024-01-01T13:30:00",
        "camera": "Canon EOS 80D",
        "id": 1,
        "offline": False,
        "folded": [{"source": "/photos/twin.jpg", "id": 2}],
    }


def test_json_has_null_for_what_is_not_known() -> None:
    record = hit_record(found(taken=None, camera=None))
    assert (record["taken"], record["camera"]) == (None, None)


def test_a_moment_before_1970_is_a_moment() -> None:
    assert hit_record(found(taken=-1.0))["taken"] == "1969-12-31T23:59:59"


def test_a_name_that_is_not_utf8_keeps_its_bytes_in_json() -> None:
    record = hit_record(found(b"/photos/caf\xe9.jpg"))
    assert base64.b64decode(record["source_bytes"]) == b"/photos/caf\xe9.jpg"


def test_bare_paths_are_the_file_systems_bytes(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    print_paths0([found(b"/photos/caf\xe9 \n.jpg"), found("/photos/beach.jpg")])
    assert capfdbinary.readouterr().out == b"/photos/caf\xe9 \n.jpg\0/photos/beach.jpg\0"


def test_beside_pictures_each_photograph_has_the_same_number_of_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    print_pictures([found(), found(number=2)], lambda number: None, "kitty")
    first = terminal.getvalue()
    assert first.count("\x1b[4A") == 2
    assert first.count("\n") == 2 * (4 + 4)
    assert "beach.jpg" in first
