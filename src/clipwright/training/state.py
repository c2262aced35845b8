"""What resuming a run needs, in one file that is written whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from clipwright.atomic import replacing
from clipwright.errors import CheckpointError, RecipeError
from clipwright.model.dual_encoder import DualEncoder

FILE_NAME = "state.pt"


@dataclass
class Progress:
    """How far a run has come."""

    step: int = 0
    """Steps done."""
    samples_read: int = 0
    broken: int = 0
    broken_names: list[str] = field(default_factory=list)
    """The first broken samples, each with its reason."""
    seconds: float = 0.0
    """Spent training, over all sittings."""


def save_state(
    folder: Path,
    model: DualEncoder,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    recipe_text: str,
    tokenizer: str,
) -> None:
    """Replaces the state in the folder. When writing fails (OSError) the state before stays whole."""
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": vars(progress),
        "recipe": recipe_text,
        "tokenizer": tokenizer,
    }
    with replacing(folder / FILE_NAME) as temporary, temporary.open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:  # torch's writer hides what the disk said
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None


def read_state(folder: Path) -> dict[str, Any] | None:
    """The state in the folder, or None where there is none. Raises CheckpointError where it is damaged."""
    path = folder / FILE_NAME
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the reader meets damaged bytes with every kind of exception
        raise CheckpointError(f"{str(path)!r} cannot be read: {error}; delete it to start again") from error
    return state


def restore_state(
    state: dict[str, Any], folder: Path, model: DualEncoder, optimizer: torch.optim.Optimizer, recipe_text: str
) -> Progress:
    """Puts a state into model and optimizer. Raises RecipeError where it was made by another recipe."""
    if state["recipe"] != recipe_text:
        raise RecipeError(
            f"{str(folder)!r} holds a run of another recipe; go on with that one, or give --out another folder"
        )
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return Progress(**state["progress"])
