"""What resuming a run needs, in one file that is written whole or not at all."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from clipwright.atomic import replacing
from clipwright.errors import CheckpointError, RecipeError
from clipwright.inputs.input_spec import InputSpec
from clipwright.inputs.tokenizer import Tokenizer
from clipwright.model.config import ModelConfig
from clipwright.model.dual_encoder import DualEncoder
from clipwright.records import read_record, write_record
from clipwright.training.standing import STATE_FILE


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
    tokenizer: Tokenizer,
) -> None:
    """Replaces the state in the folder. When writing fails (OSError) the state before stays whole."""
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": vars(progress),
        "recipe": recipe_text,
        "tokenizer": tokenizer.document,
        "input_spec": write_record(tokenizer.spec),
    }
    with replacing(folder / STATE_FILE) as temporary, temporary.open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:  # torch's writer hides what the disk said
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None


def read_state(folder: Path) -> dict[str, Any] | None:
    """The state in the folder, or None where there is none. Raises CheckpointError where it is damaged."""
    path = folder / STATE_FILE
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the reader meets damaged bytes with every kind of exception
        raise CheckpointError(f"{str(path)!r} cannot be read: {error}; delete it to start again") from error
    return state


def recorded_recipe(state: dict[str, Any]) -> dict[str, Any]:
    """The table of the recipe that made a state, but for what a run may change on the way."""
    table: dict[str, Any] = json.loads(state["recipe"])
    return table


def recorded_spec(state: dict[str, Any], derived: InputSpec, config: ModelConfig, folder: Path) -> InputSpec:
    """How a run has prepared its inputs so far. derived: how one that begins now would.

    States of an earlier clipwright do not say. They are gone on with where nothing has changed; raises RecipeError
    where the run was trained by the wrong loss, on padding of any length, or on inputs that the model it began with
    does not know.
    """
    if "input_spec" in state:
        return read_record(InputSpec, state["input_spec"], f"input_spec in {STATE_FILE}")
    first = InputSpec(
        image_size=config.vision.image_size,
        context_length=config.text.context_length,
        start_id=derived.start_id,
        end_id=derived.end_id,
        pad_id=0,
    )
    if config.scores == "sigmoid" or first != derived:
        raise RecipeError(
            f"{str(folder)!r} holds a run of an earlier clipwright, which trained such a model wrongly (its loss, its"
            " padding or its pictures); begin again: give --out another folder"
        )
    return derived


def check_recipe(state: dict[str, Any], recipe_text: str, folder: Path) -> None:
    """Raises RecipeError where a state was made by another recipe."""
    if state["recipe"] != recipe_text:
        raise RecipeError(
            f"{str(folder)!r} holds a run of another recipe; go on with that one, or give --out another folder"
        )


def restore_state(state: dict[str, Any], model: DualEncoder, optimizer: torch.optim.Optimizer) -> Progress:
    """Puts a state into model and optimizer."""
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return Progress(**state["progress"])
