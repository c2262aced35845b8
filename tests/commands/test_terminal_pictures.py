from __future__ import annotations

import base64
import io
import re
import sys

import pytest
from PIL import Image

from clipwright.commands.terminal_pictures import drawn, terminal_protocol
from tests.commands.hits import jpeg
from tests.commands.test_output import Terminal

NOT_THERE = (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm2"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "iterm2"),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, "iterm2"),
        ({"TERM": "foot"}, "sixel"),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "tmux-256color", "TERM_PROGRAM": "tmux", "KITTY_WINDOW_ID": "1"}, None),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux-0/default"}, None),
        ({}, None),
    ],
)
def test_the_protocol_is_told_by_the_environment(
    environment: dict[str, str], protocol: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert terminal_protocol(environment) == protocol


def test_nothing_is_drawn_into_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert terminal_protocol({"TERM": "xterm-kitty"}) is None


def test_kitty_gets_the_whole_picture_in_chunks_that_it_reads() -> None:
    with Image.effect_noise((320, 240), 80) as noise:
        written = io.BytesIO()
        noise.convert("RGB").save(written, "JPEG", quality=95)
    sequences = re.findall(r"\x1b_G(.*?)\x1b\\", drawn(written.getvalue(), "kitty"))
    keys, chunks = zip(*(sequence.split(";") for sequence in sequences), strict=True)
    assert len(chunks) > 1
    assert max(map(len, chunks)) <= 4096
    assert keys[0].startswith("a=T,f=100,q=2,C=1,c=14,r=4,")
    assert [key[-3:] for key in keys] == ["m=1"] * (len(keys) - 1) + ["m=0"]
    assert_shows(Image.open(io.BytesIO(base64.b64decode("".join(chunks)))))


def test_iterm2_gets_the_whole_picture_with_its_size() -> None:
    found = re.fullmatch(
        r"\x1b\]1337;File=inline=1;size=(\d+);width=14;height=4;preserveAspectRatio=1:(.*)\x07",
        drawn(jpeg(90, 60), "iterm2"),
    )
    assert found
    data = base64.b64decode(found[2])
    assert len(data) == int(found[1])
    assert_shows(Image.open(io.BytesIO(data)), red=True)


def test_sixels_are_the_picture() -> None:
    picture = Image.new("RGB", (90, 60), "red")
    picture.paste("blue", (45, 0, 90, 60))
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=95)
    shown = read_sixels(drawn(written.getvalue(), "sixel"))
    assert shown.size == (112, 64)
    left, right, outside = shown.getpixel((20, 32)), shown.getpixel((92, 32)), shown.getpixel((1, 32))
    assert isinstance(left, tuple)
    assert isinstance(right, tuple)
    assert left[0] > 200 > left[2] + 100
    assert right[2] > 200 > right[0] + 100
    assert outside == NOT_THERE


def assert_shows(image: Image.Image, *, red: bool = False) -> None:
    """The whole picture stands in the middle of a box of 14 x 4 cells, with nothing beside it."""
    assert image.size == (224, 128)
    assert image.convert("RGBA").getpixel((0, 64)) == NOT_THERE
    middle = image.convert("RGBA").getpixel((112, 64))
    assert isinstance(middle, tuple)
    assert middle[3] == 255
    assert not red or middle[0] > 200


def read_sixels(written: str) -> Image.Image:
    """What a terminal would show."""
    found = re.fullmatch(r'\x1bP0;1q"1;1;(\d+);(\d+)(.*)\x1b\\', written)
    assert found
    image = Image.new("RGBA", (int(found[1]), int(found[2])))
    colours: dict[int, tuple[int, int, int, int]] = {}
    x = y = colour = 0
    for number, red, green, blue, letter in re.findall(r"#(\d+)(?:;2;(\d+);(\d+);(\d+))?|(.)", found[3]):
        if number:
            colour = int(number)
            if red:
                colours[colour] = (int(red) * 255 // 100, int(green) * 255 // 100, int(blue) * 255 // 100, 255)
        elif letter == "$":
            x = 0
        elif letter == "-":
            x, y = 0, y + 6
        else:
            for row in range(6):
                if (ord(letter) - 63) >> row & 1:
                    image.putpixel((x, y + row), colours[colour])
            x += 1
    return image
