"""The house's import rules: imports point down, and torch lives where it may."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import clipwright
from clipwright.cli import COMMANDS

ROOT = Path(clipwright.__file__).parent

LEVELS = [
    ["cli", "commands"],
    ["server"],
    ["evaluation"],
    ["api"],
    ["index"],
    ["tasks"],
    ["training", "embedding"],
    ["checkpoints"],
    ["model", "graph", "inputs"],
    ["records", "atomic", "errors"],
]
"""From the top down. A room may import from rooms below its own level; rooms of one level do not know each other."""

ALLOWED_SIDEWAYS = {("cli", "commands"), ("commands", "cli"), ("records", "errors"), ("atomic", "errors")}
CONFIG_MODULES = {"clipwright.model.config", "clipwright.model.openai", "clipwright.model.shapes"}
"""Torch-free, and open to every room."""
TORCH_ROOMS = {"model", "training"}
TORCH_FILES = {"embedding/backends/torch.py"}


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def room_of(dotted: str) -> str:
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 else ""


def level_of(room: str) -> int:
    return next(number for number, rooms in enumerate(LEVELS) if room in rooms)


def dotted_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def test_every_room_has_a_level() -> None:
    known = {room for rooms in LEVELS for room in rooms}
    found = {room_of(dotted_name(path)) for path in modules()} - {""}
    assert found == known


@pytest.mark.parametrize("path", modules(), ids=dotted_name)
def test_imports_point_down(path: Path) -> None:
    room = room_of(dotted_name(path))
    for name in imports(path):
        other = room_of(name)
        if not name.startswith("clipwright.") or name in CONFIG_MODULES or not room or other == room:
            continue
        assert (room, other) in ALLOWED_SIDEWAYS or level_of(other) > level_of(room), f"{room} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=dotted_name)
def test_torch_stays_in_its_rooms(path: Path) -> None:
    relative = path.relative_to(ROOT).as_posix()
    allowed = relative.split("/")[0] in TORCH_ROOMS or relative in TORCH_FILES
    uses = any(name == "torch" or name.startswith("torch.") for name in imports(path))
    assert allowed or not uses


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("imported", "forbidden"),
    [
        ([f"clipwright.commands.{command}" for command in COMMANDS], {"torch", "onnxruntime", "openvino", "onnx"}),
        (
            [
                "clipwright",
                "clipwright.cli",
                "clipwright.model.openai",
                "clipwright.model.operations",
                "clipwright.checkpoints.load",
                "clipwright.inputs.images",
                "clipwright.inputs.tokenizer",
                "clipwright.training.recipe",
                "clipwright.embedding.load",
                "clipwright.evaluation.speed",
                "clipwright.graph.towers",
            ],
            {"torch"},
        ),
    ],
    ids=["commands", "rooms"],
)
def test_importing_is_light(imported: list[str], forbidden: set[str]) -> None:
    """One after the other in one process: the first that brings something heavy is named."""
    code = f"""
import importlib, sys
for name in {imported!r}:
    importlib.import_module(name)
    heavy = {forbidden!r} & sys.modules.keys()
    assert not heavy, f"{{name}} imports {{heavy}}"
"""
    done = run(code)
    assert done.returncode == 0, done.stderr


def test_commands_that_train_nothing_never_import_torch(tiny_model: Path, photo: Path, tmp_path: Path) -> None:
    lines = [
        ["classify", str(photo), "--labels", "rocket, cat"],
        ["similarity", str(photo), "--text", "a rocket"],
        ["embed", str(photo)],
        ["bench", str(tiny_model), "--quick", "--quiet"],
        ["info"],
        ["models"],
        ["export", str(tiny_model), str(tmp_path / "graphs")],
    ]
    code = f"""
import sys
from clipwright.cli import root
from clipwright.evaluation import matrix_peak, speed
matrix_peak.PEAK_SIZE, speed.LARGE_SIZE = 64, (2000, 1500)
for line in {lines!r}:
    assert root.main(line, standalone_mode=False) == 0, line
    assert "torch" not in sys.modules, line
"""
    done = run(code)
    assert done.returncode == 0, done.stderr


def test_every_public_name_can_be_imported() -> None:
    for name in clipwright.__all__:
        assert getattr(clipwright, name).__name__ == name
