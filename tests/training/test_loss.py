"""The contrastive loss equals its definition."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from clipwright.training.loss import cap_temperature, contrastive_loss, matching_loss

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
