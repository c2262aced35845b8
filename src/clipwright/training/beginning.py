"""What a run begins with: a model that its recipe names, or else a vocabulary learned from its captions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from clipwright.checkpoints.checkpoint import TOWER_KINDS, Checkpoint, check_finite
from clipwright.checkpoints.load import absolute_name, load_checkpoint
from clipwright.errors import RecipeError, UnknownModelError, UnreachableError
from clipwright.inputs.input_spec import InputSpec
from clipwright.inputs.tokenizer import end_ids, train_tokenizer
from clipwright.model.config import ModelConfig
from clipwright.records import write_record
from clipwright.training.recipe import Recipe
from clipwright.training.sources import Source

_LEARNED_CAPTIONS = 1_000_000
"""The vocabulary is learned from at most so many captions."""
_SHOWN = 3
"""So many differences between a recipe's config and a model's are named."""


def read_start(recipe: Recipe, folder: Path) -> Checkpoint | None:
    """The model that training.start_from names: a path from the recipe's folder, or any name that --model takes.

    Raises RecipeError where it cannot be trained on as the recipe says, CheckpointError where its weights are not
    finite, and as load_checkpoint where there is none.
    """
    name = recipe.training.start_from
    if name is None:
        return None
    try:
        start = load_checkpoint(absolute_name(name, folder))
    except (UnknownModelError, UnreachableError) as error:
        raise type(error)(f"training.start_from: there is no {str(folder / name)!r}, and {error}") from error
    differing = list(
        _differences(write_record(start.config, TOWER_KINDS), write_record(recipe.config, TOWER_KINDS), "config")
    )
    if differing:
        more = f" and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
        raise RecipeError(
            f"training.start_from {name!r} has another config than the recipe: {'; '.join(differing[:_SHOWN])}{more};"
            f" 'clipwright info {name} --json' shows it all"
        )
    if start.tokenizer is None:
        raise RecipeError(f"training.start_from {name!r} has no tokenizer, without which no caption can be read")
    if start.spec.resize == "longest":
        raise RecipeError(
            f"training.start_from {name!r} fits whole pictures into its square (resize 'longest'); training takes crops"
            " that fill it, so such a model cannot be trained on"
        )
    check_finite(start.weights)
    return start


def _differences(theirs: dict[str, Any], ours: dict[str, Any], where: str) -> Iterator[str]:
    for key in dict.fromkeys((*theirs, *ours)):
        there, here, name = theirs.get(key), ours.get(key), f"{where}.{key}"
        if isinstance(there, dict) and isinstance(here, dict):
            yield from _differences(there, here, name)
        elif there != here:
            yield f"{name} is {there!r} there and {here!r} in the recipe"


def learn_tokenizer(recipe: Recipe, sources: Sequence[Source]) -> str:
    """The document of the byte-pair tokenizer that a recipe's captions give."""
    captions = itertools.chain.from_iterable(source.captions.corpus() for source in sources)
    return train_tokenizer(itertools.islice(captions, _LEARNED_CAPTIONS), recipe.config.text.vocab_size)


def input_spec(config: ModelConfig, document: str, start: Checkpoint | None = None) -> InputSpec:
    """How a model in training reads pictures, and texts with this tokenizer: as the model it began with, which was
    trained on inputs of that kind, and else as OpenAI's models do."""
    if start is not None:
        return start.spec
    first, last = end_ids(document)
    return InputSpec(
        image_size=config.vision.image_size,
        context_length=config.text.context_length,
        padding="context" if config.text.sees_padding else "longest",
        start_id=first,
        end_id=last,
        pad_id=0,
    )
