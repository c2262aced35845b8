"""A contact sheet of what a search found: an HTML page that needs no other file, or one picture."""

from __future__ import annotations

import base64
import html
import io
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clipwright.atomic import replacing
from clipwright.commands.hit_table import Thumbnail, shown_path
from clipwright.commands.output import shorten
from clipwright.errors import ImageError
from clipwright.index.photo import taken_at

if TYPE_CHECKING:
    from PIL import Image, ImageFont

    from clipwright.index.photo import Hit

SHEET_ENDINGS = (".html", ".png")
_MADE_SIDE = 320
"""Pixels of the longer side of a thumbnail that is made here because none was kept."""
_COLUMNS = 5
_CELL, _GAP, _MARGIN = 240, 20, 40
_PICTURE_HEIGHT, _LINE = 180, 20
_HEAD = 84
_PAPER, _MAT, _INK, _FAINT, _BAR = (250, 250, 249), (238, 238, 236), (28, 30, 34), (115, 118, 125), (196, 92, 36)


@dataclass(frozen=True)
class Sheet:
    """What stands on a contact sheet."""

    title: str
    """The query, as it was asked."""
    remark: str
    """A line below it: how many, of what."""
    hits: Sequence[Hit]
    thumbnail: Thumbnail

    def picture(self, hit: Hit) -> bytes | None:
        """A small JPEG of the photograph, made now where none was kept; None where the file cannot be read."""
        kept = self.thumbnail(hit.photo.id)
        return kept if kept is not None else _made(hit.photo.source)


def write_sheet(path: Path, sheet: Sheet) -> None:
    """Writes it, whole or not at all, as its ending says: one of SHEET_ENDINGS."""
    with replacing(path) as temporary:
        if path.suffix == ".html":
            temporary.write_text(html_sheet(sheet), encoding="utf-8")
        else:
            draw_sheet(sheet).save(temporary, "PNG")


def html_sheet(sheet: Sheet) -> str:
    """The page. Thumbnails are in it; each leads to its photograph on this machine."""
    cards = "\n".join(_card(sheet, hit) for hit in sheet.hits)
    return _PAGE.format(
        title=html.escape(sheet.title), remark=html.escape(sheet.remark), cards=cards, style=_STYLE.strip()
    )


def draw_sheet(sheet: Sheet) -> Image.Image:
    """The sheet as a picture, rows of five."""
    from PIL import Image, ImageDraw, ImageFont

    columns = max(1, min(_COLUMNS, len(sheet.hits)))
    rows = -(-len(sheet.hits) // columns)
    width = 2 * _MARGIN + max(2, columns) * (_CELL + _GAP) - _GAP
    cell_height = _PICTURE_HEIGHT + 3 * _LINE + _GAP
    canvas = Image.new("RGB", (width, _MARGIN + _HEAD + rows * (cell_height + _GAP) + _MARGIN - _GAP), _PAPER)
    draw = ImageDraw.Draw(canvas)
    large, small = ImageFont.load_default(28), ImageFont.load_default(14)
    title = _cut(sheet.title, large, width - 2 * _MARGIN)
    draw.text((_MARGIN, _MARGIN), title, _INK, large)
    draw.text((_MARGIN, _MARGIN + 42), sheet.remark, _FAINT, small)
    for number, hit in enumerate(sheet.hits):
        row, column = divmod(number, columns)
        x, y = _MARGIN + column * (_CELL + _GAP), _MARGIN + _HEAD + row * (cell_height + _GAP)
        _draw_picture(canvas, sheet.picture(hit), (x, y))
        below = y + _PICTURE_HEIGHT
        draw.rectangle((x, below, x + _CELL - 1, below + 4), fill=_MAT)
        draw.rectangle((x, below, x + round(max(0.0, min(1.0, hit.relevance)) * (_CELL - 1)), below + 4), fill=_BAR)
        lines = [(_INK, Path(shown_path(hit.photo)).name), (_FAINT, _facts(hit)), (_FAINT, _also(hit))]
        for line, (ink, text) in enumerate(lines):
            draw.text((x, below + 10 + line * _LINE), _cut(text, small, _CELL), ink, small)
    return canvas


def _card(sheet: Sheet, hit: Hit) -> str:
    path = shown_path(hit.photo)
    name, folder = html.escape(Path(path).name), html.escape(str(Path(path).parent))
    picture = sheet.picture(hit)
    if picture is None:
        shown = '<span class="none">no picture</span>'
    else:
        shown = f'<img src="data:image/jpeg;base64,{base64.b64encode(picture).decode()}" alt="{name}" loading="lazy">'
    address = html.escape(_address(hit.photo.path))
    percent = f"{hit.relevance:.0%}"
    also = _also(hit)
    remark = f'<span class="also">{html.escape(also)}</span>' if also else ""
    return _CARD.format(
        address=address,
        title=f"{html.escape(path)}&#10;relevance {percent}, similarity {hit.similarity:.3f}",
        shown=shown,
        percent=percent,
        name=name,
        facts=html.escape(_facts(hit)),
        folder=folder,
        remark=remark,
    )


def _address(path: bytes) -> str:
    """The path as a URL, whatever its bytes."""
    return "file://" + urllib.parse.quote_from_bytes(path.replace(b"\\", b"/") if path[1:2] == b":" else path)


def _facts(hit: Hit) -> str:
    taken = (taken_at(hit.photo) or "").replace("T", " ")
    return "  ·  ".join(filter(None, [f"{hit.relevance:.0%}", taken]))


def _also(hit: Hit) -> str:
    said = ["offline"] if hit.photo.offline else []
    return ", ".join([*said, f"and {len(hit.folded)} alike"] if hit.folded else said)


def _made(source: Path) -> bytes | None:
    from PIL import Image

    from clipwright.inputs.colours import in_srgb
    from clipwright.inputs.images import open_image

    try:
        image = open_image(source, _MADE_SIDE)
    except (ImageError, OSError):
        return None
    image.thumbnail((_MADE_SIDE, _MADE_SIDE), Image.Resampling.BICUBIC)
    written = io.BytesIO()
    in_srgb(image).save(written, "JPEG", quality=80)
    return written.getvalue()


def _draw_picture(canvas: Image.Image, picture: bytes | None, corner: tuple[int, int]) -> None:
    """In the middle of its mat, whole."""
    from PIL import Image, ImageDraw, ImageOps

    x, y = corner
    ImageDraw.Draw(canvas).rectangle((x, y, x + _CELL - 1, y + _PICTURE_HEIGHT - 1), fill=_MAT)
    if picture is None:
        return
    with Image.open(io.BytesIO(picture)) as opened:
        inside = ImageOps.contain(opened.convert("RGB"), (_CELL, _PICTURE_HEIGHT), Image.Resampling.LANCZOS)
    canvas.paste(inside, (x + (_CELL - inside.width) // 2, y + (_PICTURE_HEIGHT - inside.height) // 2))


def _cut(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> str:
    """The text in so many pixels; the end is kept."""
    length = len(text)
    while length > 1 and font.getlength(shorten(text, length)) > width:
        length -= 1
    return shorten(text, length)


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p>{remark}</p>
</header>
<main>
{cards}
</main>
</body>
</html>
"""
_CARD = """<figure>
<a href="{address}" title="{title}">{shown}</a>
<figcaption>
<span class="bar"><span style="width:{percent}"></span></span>
<span class="name">{name}</span>
<span class="facts">{facts}</span>
<span class="folder">{folder}</span>{remark}
</figcaption>
</figure>"""
_STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fafaf9; --mat: #eeeeec; --ink: #1c1e22; --faint: #6b6e75; --bar: #c45c24;
}
@media (prefers-color-scheme: dark) {
  :root { --paper: #17181b; --mat: #22242a; --ink: #e8e8e6; --faint: #9a9da5; --bar: #e58a52; }
}
* { box-sizing: border-box; }
body { margin: 0; padding: 2.5rem clamp(1rem, 4vw, 3.5rem); background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", sans-serif; }
header { margin-bottom: 2rem; }
h1 { margin: 0; font-size: 1.75rem; font-weight: 600; letter-spacing: -0.01em; overflow-wrap: anywhere; }
header p { margin: 0.25rem 0 0; color: var(--faint); }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1.75rem 1.25rem; }
figure { margin: 0; min-width: 0; }
a { display: grid; place-items: center; position: relative; aspect-ratio: 4 / 3; overflow: hidden;
  background: var(--mat); border-radius: 6px; color: var(--faint); text-decoration: none; }
a:focus-visible { outline: 3px solid var(--bar); outline-offset: 2px; }
img { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; transition: transform 0.15s; }
a:hover img { transform: scale(1.03); }
figcaption { display: grid; padding-top: 0.5rem; }
figcaption > span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.bar { height: 4px; margin-bottom: 0.4rem; border-radius: 2px; background: var(--mat); }
.bar span { display: block; height: 100%; background: var(--bar); }
.name { font-weight: 550; }
.facts, .folder, .also { color: var(--faint); font-size: 0.87rem; white-space: pre; }
.folder { direction: rtl; text-align: left; unicode-bidi: plaintext; }
.also { font-style: italic; }
@media (prefers-reduced-motion: reduce) { img { transition: none; } a:hover img { transform: none; } }
@media print { body { padding: 0; } figure { break-inside: avoid; } }
"""
