"""Text is read as what it is, whatever editor saved it, or refused by its line."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from clipwright.inputs.text_files import decode_text, read_text, text_lines

TEXT = "Kätzchen\r\n中文 描述\n😀\n"


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_every_unicode_encoding_gives_the_same_text_without_its_mark(mark: bytes, encoding: str) -> None:
    assert decode_text(mark + TEXT.encode(encoding)) == TEXT


def test_marks_within_files_that_were_joined_are_left_out() -> None:
    assert text_lines(decode_text(2 * (codecs.BOM_UTF8 + b"a cat\n"))) == ["a cat", "a cat"]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ("café".encode("latin-1"), r"line 1 is not UTF-8: 0xe9 after 'caf'; save it as UTF-8"),
        ("one\r\ntwo\rthree\nnaïve".encode("cp1252"), "line 4 is not UTF-8: 0xef after 'na'"),
        ("кот".encode("cp1251"), "line 1 is not UTF-8: 0xea after ''"),
        (codecs.BOM_UTF16_LE + b"a\x00\x00", "line 1 is not UTF-16-LE: 0x00 after 'a'"),
        (b"\xe4\xb8", "line 1 is not UTF-8: 0xe4 0xb8 after ''"),
        ("one\ntwo".encode("utf-16-le"), "line 1 holds a zero byte"),
        (b"one\ntwo\x00", "line 2 holds a zero byte"),
    ],
)
def test_what_is_no_unicode_is_refused_by_its_line_and_never_guessed(data: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        decode_text(data)


def test_lines_end_as_editors_end_them_and_nowhere_else() -> None:
    assert text_lines(" a\r\n\r\n b \rc\n\t\nd\u2028e\x0cf\x85g") == ["a", "b", "c", "d\u2028e\x0cf\x85g"]


def test_a_file_is_read_by_its_mark(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("ein Käfer".encode("utf-16"))
    assert read_text(tmp_path / "a.txt") == "ein Käfer"
