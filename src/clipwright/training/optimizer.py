"""AdamW with decoupled decay, Muon beside it where the recipe says so, and the learning rate over a run.

Loshchilov and Hutter 2019; Radford et al. 2021, §2.5; Jordan et al. 2024 (Muon: an optimizer for hidden layers).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from clipwright.training.recipe import TrainingRecipe

_QUINTIC = (3.4445, -4.7750, 2.0315)
"""Jordan et al. 2024: brings every singular value to between 0.7 and 1.2 in five rounds, in bfloat16 too."""
_ROUNDS = 5


class Muon(torch.optim.AdamW):
    """AdamW, but for groups with a momentum: those move by their momentum made orthogonal (Jordan et al. 2024).

    A kernel counts as a matrix of one row an output channel. The move has root mean square 1 an element before the
    learning rate, so that one learning rate serves both kinds of group (as Liu et al. 2025, §2.2, but without 0.2).
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        groups = self.param_groups
        self.param_groups = [group for group in groups if "momentum" not in group]
        try:
            value = super().step(closure)
        finally:
            self.param_groups = groups
        for group in groups:
            if "momentum" in group:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self._move(parameter, parameter.grad, group)
        return value

    def _move(self, parameter: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
            state["step"] = torch.zeros(())  # unused here: AdamW looks for it when a state is loaded
        momentum = state["momentum"].mul_(group["momentum"]).add_(gradient)
        matrix = gradient.add(momentum, alpha=group["momentum"]).flatten(1)  # one step ahead, as Nesterov
        move = orthogonalise(matrix) * max(matrix.shape) ** 0.5
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.sub_(move.reshape(parameter.shape), alpha=group["lr"])


def orthogonalise(matrix: Tensor) -> Tensor:
    """The nearest matrix (R, C) whose singular values are all about 1, by a Newton-Schulz iteration in bfloat16."""
    a, b, c = _QUINTIC
    x = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = (x / (x.norm() + 1e-7)).bfloat16()
    for _ in range(_ROUNDS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = x if matrix.shape[0] <= matrix.shape[1] else x.T
    return result.to(matrix.dtype)


def build_optimizer(model: nn.Module, recipe: TrainingRecipe) -> torch.optim.AdamW:
    """AdamW that decays matrices and kernels only, not gains, biases, embeddings of position or the temperature.

    With the optimizer "muon", Muon for matrices and kernels; the embeddings of tokens stay with AdamW.
    """
    decayed: list[nn.Parameter] = []
    orthogonal: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2 or name.endswith("position_embedding"):
            free.append(parameter)
        elif recipe.optimizer == "adamw" or name.endswith("token_embedding.weight"):
            decayed.append(parameter)
        else:
            orthogonal.append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    settings: dict[str, Any] = {"lr": recipe.learning_rate, "betas": (recipe.beta1, recipe.beta2)}
    settings |= {"eps": recipe.epsilon, "fused": True}
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, **settings)
    groups.append({"params": orthogonal, "weight_decay": recipe.weight_decay, "momentum": recipe.momentum})
    return Muon(groups, **settings)


def learning_rate(step: int, recipe: TrainingRecipe) -> float:
    """The learning rate of a step, counted from 0: a line up to the full rate, then a cosine down to 0."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    done = (step - recipe.warmup_steps) / max(1, recipe.steps - recipe.warmup_steps)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
