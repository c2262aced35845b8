"""What each optimizer moves, how far, and that its state survives being saved."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from clipwright.training.optimizer import Muon, build_optimizer, learning_rate, orthogonalise, set_learning_rate
from clipwright.training.recipe import TrainingRecipe


def recipe(optimizer: str = "muon", **keys: float) -> TrainingRecipe:
    values = {"steps": 10, "batch_size": 4, "learning_rate": 0.01, "warmup_steps": 2} | keys
    return TrainingRecipe(optimizer=optimizer, **values)  # type: ignore[arg-type]


class Small(nn.Module):
    """A parameter of every kind that a tower has."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.token_embedding = nn.Embedding(20, 8)
        self.position_embedding = nn.Parameter(torch.randn(3, 8))
        self.conv = nn.Conv2d(3, 8, 3, bias=False)
        self.norm = nn.LayerNorm(8)
        self.linear = nn.Linear(8, 4)

    def give_gradients(self, seed: int) -> None:
        random = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=random)


@pytest.mark.parametrize("shape", [(32, 64), (64, 32), (48, 48), (16, 144)])
def test_an_orthogonalised_matrix_keeps_its_directions_and_has_singular_values_of_about_one(
    shape: tuple[int, int],
) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    result = orthogonalise(matrix)
    values = torch.linalg.svdvals(result)
    assert result.shape == matrix.shape
    assert values.min() > 0.4
    assert values.max() < 1.4
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    assert torch.nn.functional.cosine_similarity((u @ v).flatten(), result.flatten(), dim=0) > 0.95


def test_orthogonalising_nothing_gives_nothing() -> None:
    assert torch.equal(orthogonalise(torch.zeros(4, 6)), torch.zeros(4, 6))


def test_muon_moves_kernels_and_matrices_by_about_the_learning_rate_whatever_the_gradient() -> None:
    for size in (1e-4, 1.0, 1e4):
        model = Small()
        before = copy.deepcopy(model)
        model.give_gradients(0)
        for parameter in model.parameters():
            assert parameter.grad is not None
            parameter.grad *= size
        optimizer = build_optimizer(model, recipe(weight_decay=0.0))
        optimizer.step()
        for name in ("conv.weight", "linear.weight"):
            moved = model.get_parameter(name) - before.get_parameter(name)
            assert moved.square().mean().sqrt().item() == pytest.approx(0.01, rel=0.3)


def test_muon_leaves_embeddings_gains_and_biases_to_adamw() -> None:
    ours, theirs = Small(), Small()
    muon, adamw = build_optimizer(ours, recipe()), build_optimizer(theirs, recipe("adamw"))
    for seed in range(3):
        for model, optimizer in ((ours, muon), (theirs, adamw)):
            model.give_gradients(seed)
            optimizer.step()
    same = {n for n, p in ours.named_parameters() if torch.equal(p, theirs.get_parameter(n))}
    assert same == {"token_embedding.weight", "position_embedding", "norm.weight", "norm.bias", "linear.bias"}


def test_only_matrices_and_kernels_decay() -> None:
    for name in ("adamw", "muon"):
        model = Small()
        before = copy.deepcopy(model)
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        build_optimizer(model, recipe(name, weight_decay=0.5)).step()
        changed = {n for n, p in model.named_parameters() if not torch.equal(p, before.get_parameter(n))}
        assert changed == {"token_embedding.weight", "conv.weight", "linear.weight"}


def test_a_saved_state_goes_on_to_the_same_bits() -> None:
    whole = Small()
    optimizer = build_optimizer(whole, recipe())
    halves: list[tuple[Small, Muon]] = []
    for seed in range(6):
        if seed == 3:
            part = copy.deepcopy(whole)
            resumed = build_optimizer(part, recipe())
            assert isinstance(resumed, Muon)
            resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
            halves.append((part, resumed))
        for model, mover in ((whole, optimizer), *halves):
            model.give_gradients(seed)
            set_learning_rate(mover, learning_rate(seed, recipe()))
            mover.step()
    for name, parameter in whole.named_parameters():
        assert torch.equal(parameter, halves[0][0].get_parameter(name))
