"""The rules are gitignore's: git itself says what they mean."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from clipwright.index.ignore import Rules, is_ignored, rules_in, rules_of

NAMES = ["a", "b", "ab", "a.jpg", "b.jpg", "c d.jpg", "build", "x.tmp", "[x]", "a*b.jpg", "!x.jpg", "#y.jpg"]
PARTS = ["a", "b", "*", "?", "**", "***", "a**b", "[ab]", "[!a]", "[^b]", "a*", "*.jpg", "a.jpg", "build", "x.tmp"]
PARTS += [
    "[[]x]",
    "[\\]]x",
    "[]a]b",
    "[]-a]*",
    "[a-c]*",
    "[b-a]",
    "[--b]*",
    "[a\\-z]*",
    "[[:alpha:]]*",
    "[[:no:]]",
    "[a-",
]
PARTS += [
    "\\!x.jpg",
    "\\#y.jpg",
    "!x.jpg",
    "#y.jpg",
    "c d.jpg",
    "c\\ d.jpg",
    "a\\*b.jpg",
    "*b*",
    "?.jpg",
    "a\\",
    "x.tmp\\ ",
]


def random_tree(chance: random.Random, folder: Path, depth: int = 0) -> None:
    for name in chance.sample(NAMES, chance.randint(2, 5)):
        if "." in name or depth == 3:
            (folder / name).touch()
        else:
            (folder / name).mkdir()
            random_tree(chance, folder / name, depth + 1)


def random_rule(chance: random.Random) -> str:
    path = "/".join(chance.choice(PARTS) for _ in range(chance.choice([1, 1, 1, 2, 2, 3])))
    before = chance.choice(["", "", "!"]) + chance.choice(["", "", "", "/"])
    return before + path + chance.choice(["", "", "", "/"]) + chance.choice([""] * 8 + ["  "])


def kept_by_git(root: Path) -> set[str]:
    subprocess.run(["git", "init", "--quiet", root], check=True)
    command = ["git", "-C", str(root), "ls-files", "-z", "--others", "--exclude-standard"]
    names = subprocess.run(command, check=True, capture_output=True).stdout.split(b"\0")
    return {os.fsdecode(name) for name in names if name and not name.endswith(b".gitignore")}


def kept_by_us(folder: Path, root: Path, chain: list[Rules]) -> set[str]:
    if (folder / ".gitignore").exists():
        lines = (folder / ".gitignore").read_text().split("\n")
        chain = [*chain, rules_of(os.fsencode(folder), lines)]
    kept = set()
    for path in folder.iterdir():
        if path.name.startswith(".git") or is_ignored(os.fsencode(path), chain, is_folder=path.is_dir()):
            continue
        kept |= kept_by_us(path, root, chain) if path.is_dir() else {path.relative_to(root).as_posix()}
    return kept


@pytest.mark.slow
def test_git_leaves_out_the_same(tmp_path: Path) -> None:
    assert shutil.which("git"), "git is what this is compared with"
    for seed in range(100):
        chance = random.Random(seed)
        root = tmp_path / str(seed)
        root.mkdir()
        random_tree(chance, root)
        folders = [path for path in root.rglob("*") if path.is_dir()]
        for folder in [root, *chance.sample(folders, min(len(folders), 3))]:
            rules = [random_rule(chance) for _ in range(chance.randint(1, 4))]
            (folder / ".gitignore").write_text("\n".join(rules) + "\n")
        assert kept_by_us(root, root, []) == kept_by_git(root), seed


@pytest.mark.parametrize(
    ("rule", "path", "ignored"),
    [
        ("*.png", "in/a.png", True),
        ("/*.png", "in/a.png", False),
        ("in/*.png", "in/a.png", True),
        ("in/*.png", "in/deep/a.png", False),
        ("in/**/a.png", "in/a.png", True),
        ("**/deep", "in/deep", True),
        ("in/**", "in/deep/a.png", True),
        ("deep/", "in/deep", False),  # a file of this name
        ("a.pn[a-h]", "a.png", True),
        ("a.pn[!a-h]", "a.png", False),
        ("\\#1.png", "#1.png", True),
        ("#1.png", "#1.png", False),
        ("a.png   ", "a.png", True),
        ("a.png\\ ", "a.png ", True),
        ("é?.png", "éß.png", True),  # a character, however many bytes it has
        ("[a-.png", "a.png", False),  # no good, so it means nothing
    ],
)
def test_what_a_rule_means(rule: str, path: str, ignored: bool) -> None:
    assert is_ignored(os.fsencode("/root/" + path), [rules_of(b"/root", [rule])], is_folder=False) is ignored


def test_the_last_rule_that_says_anything_decides() -> None:
    rules = [rules_of(b"/root", ["*.png", "!a.png", "a.*", "!*.png", "b.png"])]
    assert not is_ignored(b"/root/a.png", rules, is_folder=False)
    assert is_ignored(b"/root/b.png", rules, is_folder=False)


def test_a_rule_file_may_come_from_windows(tmp_path: Path) -> None:
    (tmp_path / ".clipwrightignore").write_bytes(b"\xef\xbb\xbf*.png\r\n\r\n# remark\r\ncaf\xe9/\r\n")
    rules = [rules_in(os.fsencode(tmp_path))]
    assert is_ignored(os.fsencode(tmp_path) + b"/a.png", rules, is_folder=False)
    assert is_ignored(os.fsencode(tmp_path) + b"/caf\xe9", rules, is_folder=True)
    assert not is_ignored(os.fsencode(tmp_path) + b"/a.jpg", rules, is_folder=False)


def test_rules_hold_from_the_root_of_the_file_system() -> None:
    assert is_ignored(b"/tmp", [rules_of(b"/", ["/tmp"])], is_folder=True)
