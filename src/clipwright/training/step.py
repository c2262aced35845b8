"""One training step: two towers, the loss, backward, the optimizer."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from clipwright.errors import RecipeError
from clipwright.inputs.input_spec import InputSpec
from clipwright.model.dual_encoder import DualEncoder
from clipwright.training.batches import Batch
from clipwright.training.colours import to_pixels
from clipwright.training.loss import cap_temperature, contrastive_loss, sigmoid_loss
from clipwright.training.optimizer import set_learning_rate
from clipwright.training.recipe import TrainingRecipe

_LENGTH_GROUPS = 4


@dataclass(frozen=True)
class DeviceBatch:
    """A Batch as tensors on the training device."""

    pixels: Tensor
    """(B, 3, S, S) float32, normalised, their colours changed."""
    tokens: Tensor
    ends: Tensor
    matches: Tensor


@dataclass(frozen=True)
class StepResult:
    loss: float
    scale: float
    """exp(logit_scale) before the step."""
    gradient_norm: float
    """Before clipping."""
    bias: float | None = None
    """logit_bias before the step, of models that have one."""


def to_device(batch: Batch, device: torch.device, spec: InputSpec) -> DeviceBatch:
    """The batch as a step takes it. Pictures travel as bytes and become numbers there."""
    arrays = (batch.squares, batch.colour_factors, batch.tokens, batch.ends, batch.matches)
    squares, factors, *rest = (torch.from_numpy(array).to(device, non_blocking=True) for array in arrays)
    return DeviceBatch(to_pixels(squares, factors, spec), *rest)


@contextlib.contextmanager
def training_arithmetic(device: torch.device, recipe: TrainingRecipe) -> Iterator[None]:
    """Autocast where the recipe says bf16 (auto has been made one of both), and on a CPU the plain attention.

    The fused attention of torch's CPU build is slow backward: a step over short texts took 1.5 times as long with it.
    """
    bf16 = torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16")
    plain = sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else contextlib.nullcontext()
    with bf16, plain:
        yield


def train_step(
    model: DualEncoder,
    optimizer: torch.optim.Optimizer,
    batch: DeviceBatch,
    rate: float,
    recipe: TrainingRecipe,
) -> StepResult:
    """One step at this learning rate. Raises RecipeError when the loss is no number any more."""
    scale = model.logit_scale.detach().exp().item()
    bias = None if model.logit_bias is None else model.logit_bias.item()
    optimizer.zero_grad(set_to_none=True)
    value = backward(model, batch, recipe).item()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.gradient_clip).item()
    if not (math.isfinite(value) and math.isfinite(norm)):
        raise RecipeError(f"the run diverged (loss {value}, gradient norm {norm}); lower training.learning_rate")
    set_learning_rate(optimizer, rate)
    optimizer.step()
    if model.logit_bias is None:
        cap_temperature(model.logit_scale)
    return StepResult(value, scale, norm, bias)


def backward(model: DualEncoder, batch: DeviceBatch, recipe: TrainingRecipe) -> Tensor:
    """The loss of a batch, whose gradients are added to those of the weights."""
    with training_arithmetic(batch.pixels.device, recipe):
        images = model.image_features(batch.pixels)
        texts = text_features(model, batch.tokens, batch.ends)
        if model.logit_bias is None:
            loss = contrastive_loss(images, texts, model.logit_scale, batch.matches)
        else:
            loss = sigmoid_loss(images, texts, model.logit_scale, model.logit_bias, batch.matches)
        loss.backward()
    return loss.detach()


def text_features(model: DualEncoder, tokens: Tensor, ends: Tensor) -> Tensor:
    """Features (B, D) of tokens (B, L) whose texts stop at ends (B,).

    Where padding changes nothing they are computed by groups of like length, since a few long captions would have all
    others padded.
    """
    if model.config.text.sees_padding:
        return model.text_features(tokens, ends)
    order = torch.argsort(ends, stable=True)
    parts = []
    for group in order.tensor_split(min(_LENGTH_GROUPS, len(order))):
        group_ends = ends[group]
        parts.append(model.text_features(tokens[group, : int(group_ends.max()) + 1], group_ends))
    return torch.cat(parts)[torch.argsort(order)]
