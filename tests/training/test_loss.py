"""The contrastive losses equal their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from clipwright.training.loss import cap_temperature, contrastive_loss, matching_loss, sigmoid_loss

SCALE = torch.tensor(math.log(10.0))


def features(seed: int) -> torch.Tensor:
    return torch.randn(4, 8, generator=torch.Generator().manual_seed(seed))


def test_with_one_true_caption_each_it_is_the_pseudocode_of_clip() -> None:
    """Radford et al. 2021, figure 3."""
    images, texts = features(0), features(1)
    logits = 10.0 * F.normalize(images, dim=-1) @ F.normalize(texts, dim=-1).T
    labels = torch.arange(4)
    expected = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
    assert contrastive_loss(images, texts, SCALE, torch.eye(4).bool()).item() == pytest.approx(
        expected.item(), rel=1e-6
    )


def test_length_of_features_does_not_matter() -> None:
    matches = torch.eye(4).bool()
    plain = contrastive_loss(features(0), features(1), SCALE, matches)
    assert contrastive_loss(features(0) * 7, features(1) * 0.1, SCALE, matches).item() == pytest.approx(plain.item())


def test_a_true_caption_of_another_pair_is_no_mistake() -> None:
    """Two pictures of one class with equal captions: with both true the loss can reach its floor, ln 2."""
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    matches = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]]).bool()
    scale = torch.tensor(math.log(100.0))
    assert contrastive_loss(vectors, vectors, scale, matches).item() == pytest.approx(math.log(2) * 2 / 3, abs=1e-4)


def test_a_caption_true_of_many_pictures_weighs_less() -> None:
    """Caption 0 is true of all three pictures, caption 1 of picture 1 alone: picture 1 expects more of caption 1.

    Targets of picture 1: captions 0 and 1 in the ratio 1/3 to 1, so 1/4 and 3/4; equal logits predict 1/3 each. The
    gradient by image is half of (prediction - target) / 3 pictures, and the captions' side pulls 1/3 - 1/3 = 0 for
    caption 0 and 1/3 - 1 for caption 1.
    """
    matches = torch.tensor([[1, 0, 0], [1, 1, 0], [1, 0, 1]]).bool()
    logits = torch.zeros(3, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(matching_loss(logits, matches), logits)
    expected = ((1 / 3 - 1 / 4) / 3, (1 / 3 - 3 / 4) / 3 + (1 / 3 - 1) / 3)
    assert gradient[1, :2].tolist() == pytest.approx([value / 2 for value in expected], abs=1e-6)


def test_scale_never_exceeds_one_hundred() -> None:
    logit_scale = torch.tensor(9.0)
    cap_temperature(logit_scale)
    assert logit_scale.exp().item() == pytest.approx(100.0, rel=1e-5)


def plain_sigmoid_loss(values: np.ndarray, matches: np.ndarray) -> float:
    """Zhai et al. 2023, algorithm 1, pair by pair in float64. values: all images, all texts, then t' and b."""
    count = len(matches)
    *rows, (t_prime, bias) = values[:-2].reshape(2 * count, -1), values[-2:]
    images, texts = np.split(rows[0] / np.linalg.norm(rows[0], axis=1, keepdims=True), 2)
    total = 0.0
    for i in range(count):
        for j in range(count):
            logit = math.exp(t_prime) * float(images[i] @ texts[j]) + bias
            total += math.log1p(math.exp(-(1 if matches[i, j] else -1) * logit))
    return total / count


@pytest.mark.parametrize(
    "matches", [np.eye(4, dtype=bool), np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], bool)]
)
@pytest.mark.parametrize("arithmetic", [torch.float32, torch.bfloat16])
def test_the_sigmoid_loss_and_its_gradients_are_those_of_its_definition(
    matches: np.ndarray, arithmetic: torch.dtype
) -> None:
    """In float32 also where the towers compute in bfloat16; gradients by central differences."""
    images, texts = features(0), features(1)
    values = torch.cat([images.flatten(), texts.flatten(), torch.tensor([math.log(10.0), -3.0])])
    weights = values.clone().requires_grad_()
    count = images.numel()
    with torch.autocast("cpu", torch.bfloat16, enabled=arithmetic == torch.bfloat16):
        loss = sigmoid_loss(
            weights[:count].view(4, -1),
            weights[count : 2 * count].view(4, -1),
            weights[-2],
            weights[-1],
            torch.from_numpy(matches),
        )
    (gradient,) = torch.autograd.grad(loss, weights)
    exact = values.double().numpy()
    assert loss.item() == pytest.approx(plain_sigmoid_loss(exact, matches), rel=1e-6)
    for place in range(len(exact)):
        ends = [plain_sigmoid_loss(exact + step * np.eye(len(exact))[place], matches) for step in (-1e-5, 1e-5)]
        assert gradient[place].item() == pytest.approx((ends[1] - ends[0]) / 2e-5, abs=1e-5)
