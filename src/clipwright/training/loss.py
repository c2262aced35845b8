"""The contrastive losses: softmax (Radford et al. 2021, §2.3, figure 3) and sigmoid (Zhai et al. 2023, §3.2).

Both know several true captions of a picture, where labels made them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def contrastive_loss(image_features: Tensor, text_features: Tensor, logit_scale: Tensor, matches: Tensor) -> Tensor:
    """Mean cross entropy of picking the true captions of each picture and the true pictures of each caption.

    image_features, text_features: (B, D), any length. logit_scale: (), the logarithm of the scale. matches: (B, B)
    bool, whether caption j is true of picture i; with the identity this is the loss of Radford et al. 2021. Captions
    made from labels are true of every picture of their class, and share the target (Yang et al. 2022, §3.2). A picture
    expects the less of a caption the more pictures that is true of: 'animal' may not drown 'Chihuahua'.
    """
    images = F.normalize(image_features.float(), dim=-1)
    texts = F.normalize(text_features.float(), dim=-1)
    return matching_loss(logit_scale.float().exp() * images @ texts.T, matches)


def matching_loss(logits: Tensor, matches: Tensor) -> Tensor:
    """The loss over scaled similarities (B, B), a row an image; matches as for contrastive_loss."""
    targets = matches.to(logits.dtype)
    by_text_targets = targets / targets.sum(dim=0)  # columns sum to 1
    by_image_targets = by_text_targets / by_text_targets.sum(dim=1, keepdim=True)  # rows sum to 1
    by_image = F.cross_entropy(logits, by_image_targets)
    by_text = F.cross_entropy(logits.T, by_text_targets.T)
    return (by_image + by_text) / 2


def sigmoid_loss(
    image_features: Tensor, text_features: Tensor, logit_scale: Tensor, logit_bias: Tensor, matches: Tensor
) -> Tensor:
    """Each pair of the batch by itself: is the caption true of the picture? The sum over pairs, for each picture.

    Arguments as for contrastive_loss; logit_bias: (), what is added to scaled similarities. Zhai et al. 2023,
    algorithm 1, with every true caption a match. In float32 whatever the towers compute in: the pairs that do not match
    are many, and their errors add up.
    """
    with torch.autocast(image_features.device.type, enabled=False):
        images = F.normalize(image_features.float(), dim=-1)
        texts = F.normalize(text_features.float(), dim=-1)
        logits = logit_scale.float().exp() * images @ texts.T + logit_bias.float()
        signs = 2 * matches.float() - 1
        return -F.logsigmoid(signs * logits).sum() / len(logits)


def cap_temperature(logit_scale: Tensor, largest_scale: float = 100.0) -> None:
    """Keeps the scale at most 100, in place: more was unstable (Radford et al. 2021, §2.5)."""
    with torch.no_grad():
        logit_scale.clamp_(max=torch.tensor(largest_scale).log().item())
