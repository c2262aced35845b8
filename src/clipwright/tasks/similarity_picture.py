"""A picture of an image-by-text matrix: thumbnails down one side, captions along the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from clipwright.errors import DimensionError
from clipwright.inputs.colours import in_srgb

_CELL = 96
_GAP = 3
_MARGIN = 20
_FONT_SIZE = 16
_LINE = 22
_CAPTION_LINES = 3
_COLUMNS_PER_ROW = 24
"""Characters of a caption on one line above its column."""
_LOW, _HIGH = np.array([246, 247, 250]), np.array([24, 78, 140])
_INK, _BEST = (28, 32, 40), (214, 92, 32)


def draw_similarities(images: Sequence[Image.Image], texts: Sequence[str], similarities: np.ndarray) -> Image.Image:
    """The matrix (N, M) as a picture: a row an image, a column a text, each cell with its cosine.

    The darker a cell, the higher its value within the whole matrix; the best text of each image has a frame.
    Raises DimensionError where the matrix does not fit images and texts.
    """
    if similarities.shape != (len(images), len(texts)) or not images or not texts:
        raise DimensionError(f"a matrix {similarities.shape} does not fit {len(images)} images and {len(texts)} texts")
    font = ImageFont.load_default(_FONT_SIZE)
    head = _caption_height(texts, font)
    left = _MARGIN + _CELL + 2 * _GAP
    width = left + len(texts) * (_CELL + _GAP) + _MARGIN + head // 2
    height = _MARGIN + head + len(images) * (_CELL + _GAP) + _MARGIN
    canvas = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(canvas)
    top = _MARGIN + head
    for column, text in enumerate(texts):
        _draw_caption(canvas, text, font, (left + column * (_CELL + _GAP), top), head)
    shades = _shades(similarities)
    for row, image in enumerate(images):
        y = top + row * (_CELL + _GAP)
        canvas.paste(thumbnail(image), (_MARGIN, y))
        best = int(similarities[row].argmax())
        for column in range(len(texts)):
            x = left + column * (_CELL + _GAP)
            shade = shades[row, column]
            square = (x, y, x + _CELL - 1, y + _CELL - 1)
            draw.rectangle(square, fill=tuple(int(v) for v in _LOW + shade * (_HIGH - _LOW)))
            if column == best:
                draw.rectangle(square, outline=_BEST, width=4)
            ink = (255, 255, 255) if shade > 0.5 else _INK
            draw.text((x + _CELL / 2, y + _CELL / 2), f"{similarities[row, column]:.2f}", ink, font, anchor="mm")
    return canvas


def _shades(similarities: np.ndarray) -> np.ndarray:
    """0 to 1 between the least and the greatest value, (N, M)."""
    low, high = float(similarities.min()), float(similarities.max())
    return (similarities - low) / max(high - low, 1e-9)


def thumbnail(image: Image.Image) -> Image.Image:
    """The middle square of a picture as it is drawn; a thumbnail is its own thumbnail."""
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    return in_srgb(image.convert("RGB").resize((_CELL, _CELL), Image.Resampling.BICUBIC, box=box))


def _wrap(text: str) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + len(word) < _COLUMNS_PER_ROW:
            lines[-1] += f" {word}"
        else:
            lines.append(word[:_COLUMNS_PER_ROW])
    if len(lines) > _CAPTION_LINES:
        lines = [*lines[: _CAPTION_LINES - 1], f"{lines[_CAPTION_LINES - 1]} …"]
    return lines or [""]


def _caption_height(texts: Sequence[str], font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> int:
    longest = max(font.getlength(line) for text in texts for line in _wrap(text))
    return int(longest * 0.75) + _LINE * 3


def _draw_caption(
    canvas: Image.Image,
    text: str,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    corner: tuple[int, int],
    head: int,
) -> None:
    """The caption slanting up from above the middle of its column."""
    lines = _wrap(text)
    length = int(max(font.getlength(line) for line in lines)) + 4
    strip = Image.new("L", (length, _LINE * len(lines)), 0)
    pen = ImageDraw.Draw(strip)
    for number, line in enumerate(lines):
        pen.text((0, number * _LINE), line, 255, font)
    turned = strip.rotate(45, expand=True, resample=Image.Resampling.BICUBIC)
    x, y = corner[0] + _CELL // 2 - _LINE * len(lines) // 2, corner[1] - turned.height - 4
    canvas.paste(Image.new("RGB", turned.size, _INK), (x, y), turned)
