"""Which files a user wants left out: rules in the syntax of gitignore, given or found in folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from pathspec import GitIgnoreSpec

IGNORE_FILE = b".clipwrightignore"
"""A folder's own rules, for what lies in it and below."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules that hold from one folder down."""

    folder: bytes
    """With the separator at its end: what patterns are relative to."""
    spec: GitIgnoreSpec


def rules_of(folder: bytes, lines: Sequence[str]) -> Rules:
    """Rules of these lines, relative to a folder."""
    return Rules(os.path.join(folder, b""), GitIgnoreSpec.from_lines(lines))


def rules_in(folder: bytes) -> Rules:
    """The rules that a folder's own file says. Raises OSError where it cannot be read."""
    with open(os.path.join(folder, IGNORE_FILE), "rb") as file:
        lines = os.fsdecode(file.read().removeprefix(b"\xef\xbb\xbf")).splitlines()
    return rules_of(folder, lines)


def is_ignored(path: bytes, chain: Sequence[Rules], *, is_folder: bool) -> bool:
    """Whether the last of these rules that says anything of a path leaves it out.

    What lies in a folder that is left out is left out with it, as git does: do not ask about it.
    """
    for rules in reversed(chain):
        relative = os.fsdecode(path[len(rules.folder) :])
        said = rules.spec.check_file(relative + "/" if is_folder else relative).include
        if said is not None:
            return said
    return False
