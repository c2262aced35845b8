"""Which of some labels fit a picture: what is asked of a model's texts, and what it says of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clipwright.tasks.background import BACKGROUND_CAPTIONS
from clipwright.tasks.prompts import DEFAULT_TEMPLATES, check_labels, fill_templates
from clipwright.tasks.unknown import UNKNOWN, unknown_similarity
from clipwright.tasks.zero_shot import average_templates, label_probabilities, similarity_matrix


@dataclass(frozen=True)
class LabelScore:
    """How well one label fits one picture."""

    label: str
    probability: float
    """Among the labels asked for, all of a picture summing to 1; with SigLIP models, of this label by itself."""
    similarity: float
    """Cosine of picture and label, -1 to 1."""


@dataclass(frozen=True)
class LabelTexts:
    """The texts by which a model knows labels."""

    names: tuple[str, ...]
    texts: tuple[str, ...]
    """Every name in every template, those of one name together; then general captions, where unknown is allowed."""
    unknown: bool

    @classmethod
    def of(cls, labels: Sequence[str], templates: Sequence[str] | None = None, *, unknown: bool = False) -> LabelTexts:
        """Raises LabelError where labels or templates cannot be used."""
        check_labels(labels, unknown=unknown)
        names = [label.strip() for label in labels]
        filled = fill_templates(names, templates or DEFAULT_TEMPLATES)
        return cls(tuple(names), (*filled, *(BACKGROUND_CAPTIONS if unknown else ())), unknown)

    def classifier(self, vectors: np.ndarray, scale: float, bias: float | None) -> Classifier:
        """What tells pictures apart by the labels. vectors (N, D) are the texts', of unit length."""
        filled = len(vectors) - (len(BACKGROUND_CAPTIONS) if self.unknown else 0)
        means = average_templates(vectors[:filled].reshape(len(self.names), -1, vectors.shape[1]))
        return Classifier(self.names, means, vectors[filled:] if self.unknown else None, scale, bias)


@dataclass(frozen=True)
class Classifier:
    """Labels as vectors."""

    names: tuple[str, ...]
    labels: np.ndarray
    """(K, D) float32, unit rows."""
    background: np.ndarray | None
    """(N, D): general captions, where 'none of these' may be the answer."""
    scale: float
    bias: float | None

    def scores(self, pictures: np.ndarray, top: int | None = None) -> list[tuple[LabelScore, ...]]:
        """For each picture (B, D) its labels, the likeliest first, at most top of them."""
        similarities, names = similarity_matrix(pictures, self.labels), self.names
        if self.background is not None:
            general = similarity_matrix(pictures, self.background)
            similarities, names = np.hstack([similarities, unknown_similarity(general)]), (*names, UNKNOWN)
        probabilities = label_probabilities(similarities, self.scale, self.bias)
        orders = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
        return [
            tuple(LabelScore(names[i], float(row[i]), float(cosines[i])) for i in order)
            for order, row, cosines in zip(orders, probabilities, similarities, strict=True)
        ]
