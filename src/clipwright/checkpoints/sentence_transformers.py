"""The parts of a model of sentence-transformers: a CLIP, and nothing behind it that would change its embeddings."""

from __future__ import annotations

import json
from pathlib import Path

from clipwright.checkpoints.layouts import MODULES_FILE
from clipwright.errors import CheckpointError

_NO_EFFECT = {"Normalize"}
"""Embeddings are brought to length 1 here anyway."""


def check_modules(folder: Path) -> None:
    """Raises CheckpointError where the folder's modules.json, if it has one, lists what is not built here."""
    path = folder / MODULES_FILE
    if not path.is_file():
        return
    kinds = module_kinds(path)
    surplus = [kind for kind in kinds[1:] if kind not in _NO_EFFECT]
    if surplus:
        raise CheckpointError(
            f"{str(folder)!r} is a model of sentence-transformers made of {', '.join(kinds)}; clipwright runs a CLIP"
            f" alone, without {' and '.join(surplus)}"
        )


def module_kinds(path: Path) -> list[str]:
    """What the parts of a model are, in order, by the names of their classes."""
    try:
        modules = json.loads(path.read_text(encoding="utf-8"))
        return [str(module["type"]).rpartition(".")[2] for module in modules]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{str(path)!r} cannot be read as a list of modules: {error!r}") from error
