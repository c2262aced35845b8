"""The evaluations that a recipe asks for, as functions that training calls with its model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from clipwright.embedding.backends.torch import TorchBackend
from clipwright.embedding.embedder import Embedder
from clipwright.evaluation.datasets import CaptionedImages, LabelledImages, open_dataset
from clipwright.evaluation.evaluate import evaluate
from clipwright.training.recipe import Recipe
from clipwright.training.run import Evaluator, Trainee


def evaluators_of(recipe: Recipe, folder: Path) -> list[Evaluator]:
    """One function for every evaluation of a recipe that lies in this folder.

    Raises DatasetError where one of the data sets cannot be opened, before anything is trained.
    """
    evaluators = []
    for wanted in recipe.evaluations:
        dataset = open_dataset(folder / wanted.path, limit=wanted.limit, hold_out=wanted.hold_out)
        evaluators.append(_evaluator(wanted.name, dataset))
    return evaluators


def _evaluator(name: str, dataset: LabelledImages | CaptionedImages) -> Evaluator:
    def run(trainee: Trainee) -> Iterator[tuple[str, float]]:
        embedder = Embedder(
            name="the model in training",
            space_id="unsaved",
            embed_dim=trainee.model.config.embed_dim,
            scale=float(np.exp(trainee.model.logit_scale.item())),
            spec=trainee.tokenizer.spec,
            tokenizer=trainee.tokenizer,
            backend=TorchBackend(trainee.model),
            bias=None if trainee.model.logit_bias is None else trainee.model.logit_bias.item(),
        )
        for metric, value in evaluate(embedder, dataset).metrics.items():
            yield f"{name} {metric}", value.value

    return run
