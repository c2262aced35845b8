"""Pictures on a terminal, where it has a protocol for them.

Which one is told by what terminals say of themselves in the environment. Nothing is asked of the terminal: its answer
would be read as typed by who types ahead.
"""

from __future__ import annotations

import base64
import io
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL import Image

Protocol = Literal["kitty", "iterm2", "sixel"]
"""kitty's graphics protocol (sw.kovidgoyal.net/kitty/graphics-protocol), iTerm2's inline images
(iterm2.com/documentation-images.html), DEC's sixels (VT330/VT340 programmer reference, chapter 14)."""
PICTURE_COLUMNS, PICTURE_ROWS = 14, 4
"""The cells that a picture takes."""
_BOX = (16 * PICTURE_COLUMNS, 32 * PICTURE_ROWS)
"""Pixels that fill them on a screen of high resolution; a cell is taken to be twice as high as wide."""
_SIXEL_BOX = (8 * PICTURE_COLUMNS, 16 * PICTURE_ROWS)
"""Sixels are pixels of the screen: these fit the cells of small letters."""
_CHUNK = 4096
"""Characters that kitty reads in one sequence."""
_SIXEL_COLOURS = 64
_KITTY = ("xterm-kitty", "xterm-ghostty")
_KITTY_PROGRAMS = ("ghostty",)
_ITERM2_PROGRAMS = ("iTerm.app", "WezTerm", "mintty", "rio")
_SIXEL = ("foot", "mlterm", "contour", "yaft", "xterm-sixel")


def terminal_protocol(environment: Mapping[str, str] = os.environ) -> Protocol | None:
    """How pictures are shown where standard output goes; None: it is no terminal, or one that is not known to."""
    terminal, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    inside_another = "TMUX" in environment or terminal.startswith(("screen", "tmux"))
    if not sys.stdout.isatty() or inside_another:
        return None
    if terminal in _KITTY or program in _KITTY_PROGRAMS or "KITTY_WINDOW_ID" in environment:
        return "kitty"
    if program in _ITERM2_PROGRAMS or environment.get("LC_TERMINAL") == "iTerm2":
        return "iterm2"
    return "sixel" if terminal.startswith(_SIXEL) else None


def drawn(jpeg: bytes, protocol: Protocol) -> str:
    """What is written to show a picture in PICTURE_COLUMNS x PICTURE_ROWS cells from the cursor on."""
    if protocol == "sixel":
        return _sixels(_fitted(jpeg, _SIXEL_BOX))
    encoded = io.BytesIO()
    _fitted(jpeg, _BOX).save(encoded, "PNG")
    text = base64.b64encode(encoded.getvalue()).decode()
    if protocol == "iterm2":
        size = f"size={len(encoded.getvalue())};width={PICTURE_COLUMNS};height={PICTURE_ROWS}"
        return f"\x1b]1337;File=inline=1;{size};preserveAspectRatio=1:{text}\x07"
    chunks = [text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK)]
    # Transmit and show a PNG (f=100), say nothing back (q=2), leave the cursor (C=1).
    keys = [f"a=T,f=100,q=2,C=1,c={PICTURE_COLUMNS},r={PICTURE_ROWS},", *[""] * (len(chunks) - 1)]
    return "".join(
        f"\x1b_G{key}m={int(number < len(chunks) - 1)};{chunk}\x1b\\"
        for number, (key, chunk) in enumerate(zip(keys, chunks, strict=True))
    )


def _fitted(jpeg: bytes, box: tuple[int, int]) -> Image.Image:
    """The whole picture in the middle of a transparent box."""
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(jpeg)) as opened:
        inside = ImageOps.contain(opened.convert("RGBA"), box)
    canvas = Image.new("RGBA", box)
    canvas.paste(inside, ((box[0] - inside.width) // 2, (box[1] - inside.height) // 2))
    return canvas


def _sixels(image: Image.Image) -> str:
    """Bands of six rows; in each, for each of its colours, one letter a column says which of the six have it."""
    import numpy as np

    reduced = image.convert("RGB").quantize(_SIXEL_COLOURS)
    palette = np.array(reduced.getpalette("RGB")).reshape(-1, 3) * 100 // 255
    seen = np.asarray(image.getchannel("A")) > 0
    numbers = np.where(seen, np.asarray(reduced, np.int16), -1)
    height, width = numbers.shape
    written = ["".join(f"#{colour};2;{r};{g};{b}" for colour, (r, g, b) in enumerate(palette))]
    bits = 1 << np.arange(6)
    for top in range(0, height, 6):
        band = np.full((6, width), -1)
        band[: min(6, height - top)] = numbers[top : top + 6]
        rows = []
        for colour in np.unique(band[band >= 0]):
            letters = 63 + bits @ (band == colour)
            rows.append(f"#{colour}{bytes(letters.astype(np.uint8)).decode()}")
        written.append("$".join(rows) + "-")
    # 0;1: what no colour covers stays as it is.
    return f'\x1bP0;1q"1;1;{width};{height}{"".join(written)}\x1b\\'
