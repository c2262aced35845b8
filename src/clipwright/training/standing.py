"""How far a run has come that is not done, for whoever asks without going on with it. Importing this needs no torch."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipwright.checkpoints.model_file import UNFINISHED, UNFINISHED_FILE
from clipwright.errors import CheckpointError
from clipwright.training.report import METRICS_FILE, read_metrics

STATE_FILE = "state.pt"


@dataclass(frozen=True)
class Standing:
    """A run as it was last saved."""

    step: int
    """Steps done."""
    steps: int
    saved: str
    """Local time, as 2026-05-04T10:20:30."""


def standing_of_model(path: Path, provenance: Mapping[str, Any]) -> Standing | None:
    """Of the run whose model was loaded from this file or folder; None where the model is a finished one."""
    if UNFINISHED not in provenance:
        return None
    return _standing(provenance["step"], provenance["recipe"], path / UNFINISHED_FILE if path.is_dir() else path)


def standing_without_model(folder: Path) -> Standing | None:
    """Of a run of an earlier clipwright, which kept its state alone; None where the folder holds no run.

    Raises CheckpointError where it holds one that has not saved anything, or a damaged state.
    """
    if (folder / STATE_FILE).is_file():
        from clipwright.training.state import read_state, recorded_recipe

        state = read_state(folder)
        if state is not None and {"progress", "recipe"} <= state.keys():
            return _standing(state["progress"]["step"], recorded_recipe(state), folder / STATE_FILE)
    elif rows := read_metrics(folder / METRICS_FILE):
        raise CheckpointError(
            f"{str(folder)!r} holds a run that has saved nothing yet; its log has come to step {int(rows[-1][0]):,}."
            " It saves itself every training.checkpoint_every steps, and when it is stopped"
        )
    return None


def _standing(step: int, recipe: Mapping[str, Any], file: Path) -> Standing:
    saved = datetime.datetime.fromtimestamp(file.stat().st_mtime).isoformat(timespec="seconds")
    return Standing(step, recipe["training"]["steps"], saved)
