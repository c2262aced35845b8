"""What the documents show works: Python blocks run, command lines are understood, links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from _pytest.mark import ParameterSet

from clipwright.cli import COMMANDS, root

PROJECT = Path(__file__).parents[1]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[ParameterSet]:
    """pytest parameters: (page, text) of every block in a language."""
    found: list[ParameterSet] = []
    for page in PAGES:
        texts = [text for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language]
        found += [pytest.param(page, text, id=f"{page.stem}-{n}") for n, text in enumerate(texts)]
    return found


def command_lines(text: str) -> list[str]:
    """The lines after '$ ' that call clipwright, with continued lines joined."""
    joined = text.replace("\\\n", " ")
    return [line[2:] for line in joined.splitlines() if line.startswith("$ clipwright ")]


@pytest.mark.usefixtures("small_measurements")
@pytest.mark.parametrize(("page", "text"), blocks("python"))
def test_python_block_runs(page: Path, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(text, f"{page.name} block", "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize(("page", "text"), blocks("console"))
def test_command_lines_are_understood(page: Path, text: str) -> None:
    for line in command_lines(text):
        words = shlex.split(line.split(" > ")[0].split(" | ")[0])[1:]
        if words[0].startswith("-"):
            continue
        command = root.get_command(click.Context(root), words[0])
        assert command is not None, line
        command.make_context(words[0], words[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_guide_with_an_example(name: str) -> None:
    guides = "\n".join(page.read_text(encoding="utf-8") for page in (PROJECT / "docs" / "guides").glob("*.md"))
    assert f"$ clipwright {name}" in guides


def test_every_target_of_make_is_explained_in_the_readme() -> None:
    targets = re.findall(r"^([a-z-]+):.*##", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert {name for name in targets if f"`make {name}`" not in readme} <= {"help"}
