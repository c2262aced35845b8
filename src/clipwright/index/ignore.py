"""Which files a user wants left out: rules in the syntax of gitignore(5), given or found in folders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

IGNORE_FILE = b".clipwrightignore"
"""A folder's own rules, for what lies in it and below."""

_NOTHING = "(?!)"
_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": " \\t",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": "!-/:-@\\[-`{-~",
    "space": " \\t-\\r",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
"""The named classes of POSIX, of ASCII as git has them, as a regular expression's class writes them."""
_CLASS_ITEM = re.compile(r"\[:(\w*):\]|(\\.|[^\\])(?:-(\\.|[^\]\\]))?", re.DOTALL)
"""In brackets: a named class, or a character or a range of two, each of which may be escaped."""


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: re.Pattern[str]
    of_names: bool
    """Matched with the name alone, at any depth; else with the path from the rule's folder."""
    only_folders: bool
    takes_back: bool
    """Begins with !: what an earlier rule leaves out is in again."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules that hold from one folder down."""

    folder: bytes
    """With the separator at its end."""
    rules: tuple[_Rule, ...]
    """The last first: it is the one that decides."""


def rules_of(folder: bytes, lines: Iterable[str]) -> Rules:
    """Rules of these lines, relative to a folder."""
    rules = [rule for line in lines if (rule := _rule(line)) is not None]
    return Rules(os.path.join(folder, b""), tuple(reversed(rules)))


def rules_in(folder: bytes) -> Rules:
    """The rules that a folder's own file says. Raises OSError where it cannot be read."""
    text = Path(os.fsdecode(os.path.join(folder, IGNORE_FILE))).read_bytes().removeprefix(b"\xef\xbb\xbf")
    return rules_of(folder, (os.fsdecode(line.removesuffix(b"\r")) for line in text.split(b"\n")))


def is_ignored(path: bytes, chain: Sequence[Rules], *, is_folder: bool) -> bool:
    """Whether the last of these rules that says anything of a path leaves it out.

    What lies in a folder that is left out is left out with it, as git does: do not ask about it.
    """
    name = os.fsdecode(os.path.split(path)[1])
    for rules in reversed(chain):
        relative = os.fsdecode(path[len(rules.folder) :]).replace(os.sep, "/")
        for rule in rules.rules:
            if (is_folder or not rule.only_folders) and rule.pattern.fullmatch(name if rule.of_names else relative):
                return not rule.takes_back
    return False


def _rule(line: str) -> _Rule | None:
    """What one line says; None for an empty one and a remark."""
    if line.startswith("#"):
        return None
    line = re.sub(r"((?:^|[^\\])(?:\\\\)*(?:\\ )?) *$", r"\1", line)  # spaces at the end count if escaped
    takes_back = line.startswith("!")
    line = line[takes_back:]
    only_folders = line.endswith("/")
    line = line[: len(line) - only_folders]
    if not line:
        return None
    of_names = "/" not in line
    pattern = re.compile(_expression(line.removeprefix("/"), of_names=of_names), re.DOTALL)
    return _Rule(pattern, of_names, only_folders, takes_back)


def _expression(glob: str, *, of_names: bool) -> str:
    """A regular expression for a glob; one that matches nothing for a glob that is no good, as git has it."""
    parts, at = [], 0
    while at < len(glob):
        character, rest = glob[at], glob[at:]
        if character == "*":
            stars = len(rest) - len(rest.lstrip("*"))
            is_whole = stars > 1 and not of_names and glob[:at][-1:] in ("", "/") and rest[stars:][:1] in ("", "/")
            if is_whole and rest[stars:]:
                parts.append("(?:.*/)?")
                stars += 1  # the slash too
            else:
                parts.append(".*" if is_whole else "[^/]*")
            at += stars
        elif character == "[":
            found = _bracket(glob, at + 1)
            if found is None:
                return _NOTHING
            parts.append(found[0])
            at = found[1]
        elif character == "\\":
            if len(rest) == 1:
                return _NOTHING
            parts.append(re.escape(rest[1]))
            at += 2
        else:
            parts.append("[^/]" if character == "?" else re.escape(character))
            at += 1
    return "".join(parts)


def _bracket(glob: str, at: int) -> tuple[str, int] | None:
    """A class of characters as a regular expression, and where it ends; None where it has no end."""
    negated = glob[at : at + 1] in ("!", "^")
    at += negated
    begun, members = at, list[str]()
    while at < len(glob):
        if glob[at] == "]" and at > begun:
            if negated:
                return f"[^/{''.join(members)}]", at + 1
            return f"(?!/)[{''.join(members)}]", at + 1
        item = _CLASS_ITEM.match(glob, at)
        if item is None:
            return None
        at = item.end()
        name, first, last = item.groups()
        if name is not None:
            if name not in _CLASSES:
                return None
            members.append(_CLASSES[name])
            continue
        first, last = first[-1], (last or first)[-1]
        members.append(f"{re.escape(first)}-{re.escape(max(first, last))}")  # the wrong way round it holds its first
    return None
