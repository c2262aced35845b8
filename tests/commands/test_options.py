from __future__ import annotations

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
        ("lost.txt", ["lost.txt"]),
        ("a" * 5000, ["a" * 5000]),
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


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert read_texts(str(tmp_path)) == [str(tmp_path)]


def test_an_output_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClipwrightError, match=r"must end in \.npy or \.jsonl"):
        check_out(tmp_path / "a.txt", (".npy", ".jsonl"))


def test_an_output_in_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClipwrightError, match="make it first"):
        check_out(tmp_path / "lost" / "a.npy", (".npy",))


def test_no_output_is_no_mistake() -> None:
    check_out(None, (".npy",))
