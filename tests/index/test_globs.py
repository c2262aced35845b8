"""Globs over paths match as the same globs read letter by letter."""

from __future__ import annotations

import functools
import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clipwright.errors import QueryError
from clipwright.index.globs import Paths, parse_glob

LETTERS = st.sampled_from([b"a", b"b", b".", b"/", "é".encode(), b"\xff"])


def matches(glob: tuple[bytes, ...], path: bytes) -> bool:
    """The definition: each piece takes what it may, and all of the path is taken."""

    @functools.cache
    def rest(piece: int, at: int) -> bool:
        if piece == len(glob):
            return at == len(path)
        if glob[piece] in (b"*", b"**"):
            crosses = glob[piece] == b"**"
            ends = [end for end in range(at, len(path) + 1) if crosses or b"/" not in path[at:end]]
            return any(rest(piece + 1, end) for end in ends)
        if glob[piece] == b"?":
            width = 2 if path[at : at + 2] == "é".encode() else 1
            return at < len(path) and path[at : at + 1] != b"/" and rest(piece + 1, at + width)
        return path.startswith(glob[piece], at) and rest(piece + 1, at + len(glob[piece]))

    return rest(0, 0)


@given(
    st.lists(st.lists(LETTERS, min_size=1, max_size=8).map(b"".join), min_size=1, max_size=6),
    st.lists(st.one_of(LETTERS, st.sampled_from([b"*", b"**", b"?"])), min_size=1, max_size=7).map(b"".join),
)
@example([b"ab", b"a" * 40, b"b" * 70], b"a*")
@example([b"aba"], b"/*ba*a")
@example([b"a"], b"/a*a")
@example([b"b\xc3\xa9"], b"b??")
def test_paths_match_as_by_the_definition(tails: list[bytes], text: bytes) -> None:
    paths = [b"/" + tail.replace(b"//", b"/") for tail in tails]
    glob = parse_glob(text)
    assert Paths.of(paths).matching(glob).tolist() == [matches(glob, path) for path in paths]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("*.jpg", ["/p/2024/a.jpg", "/p/2024/beach/b.jpg"]),
        ("a.*", ["/p/2024/a.jpg"]),
        ("/p/*/a.jpg", ["/p/2024/a.jpg"]),
        ("/p/*.jpg", []),
        ("/p/**.jpg", ["/p/2024/a.jpg", "/p/2024/beach/b.jpg"]),
        ("beach/*", ["/p/2024/beach/b.jpg", "/p/2024/beach/[1]c.png"]),
        ("2024/", ["/p/2024/a.jpg", "/p/2024/beach/b.jpg", "/p/2024/beach/[1]c.png"]),
        ("/p/2024/**/b*", ["/p/2024/beach/b.jpg"]),
        ("[1]*", ["/p/2024/beach/[1]c.png"]),
        ("?.jpg", ["/p/2024/a.jpg", "/p/2024/beach/b.jpg"]),
        ("*.JPG", []),
        ("*", ["/p/2024/a.jpg", "/p/2024/beach/b.jpg", "/p/2024/beach/[1]c.png"]),
    ],
)
def test_globs_find_what_one_would_say(text: str, found: list[str]) -> None:
    paths = ["/p/2024/a.jpg", "/p/2024/beach/b.jpg", "/p/2024/beach/[1]c.png"]
    kept = Paths.of([os.fsencode(path) for path in paths]).matching(parse_glob(text))
    assert [path for path, keep in zip(paths, kept, strict=True) if keep] == found


def test_names_that_are_not_utf_8_are_matched_by_their_bytes() -> None:
    paths = Paths.of([b"/p/caf\xe9.jpg", "/p/café.jpg".encode()])
    assert paths.matching(parse_glob("caf?.jpg")).tolist() == [True, True]
    assert paths.matching(parse_glob(b"caf\xe9.*")).tolist() == [True, False]


@pytest.mark.parametrize("text", ["", "  ", "a\0b"])
def test_a_glob_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(QueryError, match="--path"):
        parse_glob(text)
