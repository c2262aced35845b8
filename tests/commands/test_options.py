from __future__ import annotations

import os
from pathlib import Path

import pytest

from clipwright.commands.options import check_out, read_texts
from clipwright.errors import ClipwrightError, LabelError


@pytest.mark.parametrize(
    ("argument", "texts"),
    [
        ("cat, dog", ["cat", "dog"]),
        ("cat", ["cat"]),
        ("hot dog ,  ice cream", ["hot dog", "ice cream"]),
        ("cat,,dog", ["cat", "", "dog"]),
        ("", []),
        ("a" * 5000, ["a" * 5000]),
        ("a dog and/or a cat", ["a dog and/or a cat"]),
        ("~50 people", ["~50 people"]),
        ("Node.js", ["Node.js"]),
        ("cat, dog.txt", ["cat", "dog.txt"]),
    ],
)
def test_what_is_no_file_is_a_list_with_commas(argument: str, texts: list[str]) -> None:
    assert read_texts(argument) == texts


def test_a_file_has_one_text_a_line_commas_and_all(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("two dogs, one of them wet\n\n  a cat  \n")
    assert read_texts(str(tmp_path / "texts.txt")) == ["two dogs, one of them wet", "a cat"]


def test_a_file_from_windows_is_read_alike(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_bytes("\ufeffKätzchen\r\nHund\r\n".encode())
    assert read_texts(str(tmp_path / "texts.txt")) == ["Kätzchen", "Hund"]


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_bytes("Kätzchen".encode("latin-1"))
    with pytest.raises(LabelError, match="cannot be read as a list: line 1 is not UTF-8: 0xe4 after 'K'"):
        read_texts(str(tmp_path / "texts.txt"))


@pytest.mark.parametrize(
    "argument",
    [
        "lost.txt",
        "Lost Labels.TXT",
        "lost.csv",
        "./lost",
        "../lost",
        "/lost/labels",
        "~/lost",
        "C:\\lost",
        "lost.labels",
    ],
)
def test_a_file_that_is_not_there_is_no_text(argument: str) -> None:
    with pytest.raises(
        LabelError, match=r"^there is no file '.*'; name a file with one text a line, or give the texts"
    ):
        read_texts(argument)


def test_a_folder_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LabelError, match="is a folder; name a file with one text a line"):
        read_texts(str(tmp_path))
    (tmp_path / "cat").mkdir()
    monkeypatch.chdir(tmp_path)
    assert read_texts("cat") == ["cat"]


def test_texts_come_from_what_is_no_ordinary_file_too() -> None:
    """As a shell hands over what another program prints: --labels <(...)."""
    reading, writing = os.pipe()
    os.write(writing, b"cat\ndog\n")
    os.close(writing)
    assert read_texts(f"/dev/fd/{reading}") == ["cat", "dog"]
    os.close(reading)


def test_only_the_ends_of_lines_part_texts(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("a cat\u2028on a mat\x0bor two\rdog", encoding="utf-8", newline="")
    assert read_texts(str(tmp_path / "texts.txt")) == ["a cat\u2028on a mat\x0bor two", "dog"]


def test_an_output_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClipwrightError, match=r"must end in \.npy or \.jsonl"):
        check_out(tmp_path / "a.txt", (".npy", ".jsonl"))


def test_an_output_in_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClipwrightError, match="make it first"):
        check_out(tmp_path / "lost" / "a.npy", (".npy",))


def test_no_output_is_no_mistake() -> None:
    check_out(None, (".npy",))
