"""Runs code of open_clip and transformers in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

STUB = """
import importlib.machinery, sys, types, torch
class Anything(type):  # open_clip and timm import torchvision, which has no build for processors alone
    __getattr__ = lambda cls, attribute: attribute
def anything(attribute):
    if attribute.startswith("__"):  # torch looks for files behind modules
        raise AttributeError(attribute)
    return Anything(attribute, (), {"__init__": lambda self, *given, **named: None})
for name in ("", ".transforms", ".transforms.functional", ".ops", ".ops.misc", ".datasets", ".models",
             ".models.feature_extraction"):
    name = "torchvision" + name
    module = types.ModuleType(name)
    module.__getattr__ = anything
    module.__path__ = []
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)
"""
"""Goes before code that imports open_clip."""


def run_peer(script: str, *arguments: str | Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
