"""How photographs that were found are shown: rows on a terminal or in a pipe, JSON, or bare paths."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from clipwright.commands.output import bar, print_json, shorten, source_fields
from clipwright.index.photo import taken_at

if TYPE_CHECKING:
    from clipwright.commands.terminal_pictures import Protocol
    from clipwright.index.photo import Hit, Photo

Thumbnail = Callable[[int], bytes | None]
"""The small JPEG of a photograph by its id, where one is kept."""
_BAR_CELLS = 8
_DATE_CELLS = len("2024-05-01 13:30")
_NUMBERS = f"{'relevance':<{_BAR_CELLS + 6}}  {'cosine':>6}  {'taken':<{_DATE_CELLS}}  "


def shown_path(photo: Photo) -> str:
    """Its path on one line: what would move the cursor, and bytes that are no letters, are replaced."""
    name = photo.path.decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in name)


def print_table(hits: Sequence[Hit]) -> None:
    """A row for each: a bar of its relevance, cosine, date, path. In a pipe nothing is shortened and no head stands."""
    on_terminal = sys.stdout.isatty()
    room = shutil.get_terminal_size().columns - len(_NUMBERS) if on_terminal else sys.maxsize
    if on_terminal and hits:
        print(f"{_NUMBERS}path".rstrip())
    for hit in hits:
        remark = _remark(hit)
        path = shown_path(hit.photo)
        print(f"{_numbers(hit)}  {shorten(path, max(16, room - len(remark)))}{remark}")


def print_pictures(hits: Sequence[Hit], thumbnail: Thumbnail, protocol: Protocol) -> None:
    """The same with each photograph to the left, on a terminal that draws pictures."""
    from clipwright.commands.terminal_pictures import PICTURE_COLUMNS, PICTURE_ROWS, drawn

    room = max(16, shutil.get_terminal_size().columns - PICTURE_COLUMNS - 2)
    for hit in hits:
        jpeg = thumbnail(hit.photo.id)
        lines = [
            f"{_bar(hit)}  {hit.similarity:6.3f}",
            "  ".join(filter(None, [(taken_at(hit.photo) or "").replace("T", " "), _one_line(hit.photo.facts.camera)])),
            f"{shorten(shown_path(hit.photo), max(16, room - len(_remark(hit))))}{_remark(hit)}",
        ]
        # Lines are made first, so that the screen scrolls before the picture is placed and not after.
        print("\n" * PICTURE_ROWS + f"\x1b[{PICTURE_ROWS}A", end="")
        print(f"\x1b7{drawn(jpeg, protocol)}\x1b8" if jpeg else "", end="")
        for line in [*lines, *[""] * (PICTURE_ROWS - len(lines))]:
            print(f"\x1b[{PICTURE_COLUMNS + 2}C{line}" if line else "")
    sys.stdout.flush()


def print_hits_json(hits: Sequence[Hit]) -> None:
    for hit in hits:
        print_json(hit_record(hit))


def hit_record(hit: Hit) -> dict[str, Any]:
    """What is said of a hit in JSON."""
    return {
        **photo_fields(hit.photo),
        "similarity": round(hit.similarity, 6),
        "relevance": round(hit.relevance, 6),
        "taken": taken_at(hit.photo, "seconds"),
        "camera": hit.photo.facts.camera,
        "id": hit.photo.id,
        "offline": hit.photo.offline,
        "folded": [{**photo_fields(photo), "id": photo.id} for photo in hit.folded],
    }


def photo_fields(photo: Photo) -> dict[str, str]:
    """'source', and 'source_bytes' where its name is not UTF-8."""
    return source_fields(photo.source)


def print_paths0(hits: Sequence[Hit]) -> None:
    """The paths as the file system has them, each with a zero byte behind it: for xargs -0."""
    sys.stdout.flush()
    written = b"".join(hit.photo.path + b"\0" for hit in hits)
    sys.stdout.buffer.write(written)
    sys.stdout.buffer.flush()


def _numbers(hit: Hit) -> str:
    taken = (taken_at(hit.photo) or "").replace("T", " ")
    return f"{_bar(hit)}  {hit.similarity:6.3f}  {taken:<{_DATE_CELLS}}"


def _bar(hit: Hit) -> str:
    return f"{bar(hit.relevance, _BAR_CELLS):<{_BAR_CELLS}}  {hit.relevance:4.0%}"


def _remark(hit: Hit) -> str:
    offline = "  (offline)" if hit.photo.offline else ""
    return f"{offline}  (+{len(hit.folded)} alike)" if hit.folded else offline


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())
