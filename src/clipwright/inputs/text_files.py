"""Text that people wrote, out of files: captions, labels, tables, recipes. Read as what it is, or refused by its line.

UTF-8 with or without a byte order mark, and UTF-16 and UTF-32 with one. No other encoding is guessed: the bytes of
'café' in Latin-1 are another word in every other code page, and nobody would notice.
"""

from __future__ import annotations

import codecs
from pathlib import Path

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16's, with which it begins
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MARK = "\ufeff"
"""A byte order mark once it is decoded. Within a text it comes from files that were joined, and is left out too."""
_SHOWN = 20
"""So many letters before a wrong byte are shown."""


def read_text(path: Path) -> str:
    """The text in a file. Raises OSError where it cannot be read, and ValueError as decode_text."""
    return decode_text(path.read_bytes())


def decode_text(data: bytes) -> str:
    """The text in these bytes, without byte order marks. Raises ValueError naming the line that is no text."""
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(encoding).replace(_MARK, "")
        wrong = " ".join(f"0x{byte:02x}" for byte in data[error.start : error.end])
        shown = before[-_SHOWN:].splitlines()[-1:] or [""]
        raise ValueError(
            f"line {_line_number(before)} is not {encoding.upper()}: {wrong} after {shown[0]!r}; save it as UTF-8"
        ) from error
    if "\0" in text:
        line = _line_number(text.partition("\0")[0])
        raise ValueError(f"line {line} holds a zero byte, which is in no text; save it as UTF-8")
    return text.replace(_MARK, "")


def text_lines(text: str) -> list[str]:
    """The lines of a text without blanks around them; empty ones are left out.

    Lines end as editors end them, in LF, CR LF or CR. Other letters at which str.splitlines cuts, such as U+2028, stand
    within captions.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [line.strip() for line in lines if line.strip()]


def _line_number(before: str) -> int:
    """The line on which a text goes on that begins so, counted from 1."""
    return before.replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1
