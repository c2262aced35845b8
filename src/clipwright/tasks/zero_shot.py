"""Zero-shot classification over embeddings (Radford et al. 2021, §3.1)."""

from __future__ import annotations

import numpy as np

from clipwright.errors import DimensionError


def label_probabilities(similarities: np.ndarray, scale: float, bias: float | None = None) -> np.ndarray:
    """Probability of each label for each image, (B, K) float32.

    similarities (B, K) are cosines; scale is exp(logit_scale), about 100 for OpenAI models. Without a bias rows sum to
    1. With one (SigLIP's learned bias) each label is judged by itself (Zhai et al. 2023, §3.2), and rows need not.
    """
    logits = np.float64(scale) * similarities
    if bias is not None:
        return np.asarray(1 / (1 + np.exp(-np.clip(logits + bias, -80, 80))), np.float32)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def similarity_matrix(images: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """Cosine of each image (N, D) with each text (M, D), both of unit length: (N, M) float32."""
    if images.shape[-1] != texts.shape[-1]:
        raise DimensionError(
            f"images have {images.shape[-1]} numbers each and texts {texts.shape[-1]}; one model's do not"
        )
    return np.asarray(images @ texts.T, np.float32)


def average_templates(embeddings: np.ndarray) -> np.ndarray:
    """(K, T, D) unit embeddings of K labels in T templates to (K, D): their mean, at unit length again."""
    means = embeddings.mean(axis=1)
    return np.asarray(means / np.linalg.norm(means, axis=-1, keepdims=True), np.float32)
