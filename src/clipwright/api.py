"""What a program calls: load a model, classify pictures, compare pictures with texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clipwright.embedding.embedder import Embedder, Pixels
from clipwright.embedding.load import BackendChoice, PrecisionChoice, load_embedder
from clipwright.errors import Failure
from clipwright.inputs.images import ImageSource
from clipwright.tasks.background import BACKGROUND_CAPTIONS
from clipwright.tasks.prompts import DEFAULT_TEMPLATES, check_labels, fill_templates
from clipwright.tasks.unknown import UNKNOWN, unknown_similarity
from clipwright.tasks.zero_shot import average_templates, label_probabilities, similarity_matrix


def load(
    name: str | Path,
    *,
    threads: int | None = None,
    pixels: Pixels = "exact",
    backend: BackendChoice | None = None,
    precision: PrecisionChoice = "fp32",
    compiled: bool = False,
    strict_length: bool = False,
) -> Embedder:
    """The embedder of a model: 'starter', a short name, a file or folder of any published layout, or 'owner/name' on
    the hub.

    threads bounds the processor cores that the towers use; None takes all. pixels: exact as the model's maker prepares
    them, or fast, which decodes large JPEGs at a fraction of their size. backend and precision: ONNX Runtime in fp32,
    if nothing else is said; 'auto' is the fastest that this machine has. compiled: through torch.compile, with backend
    'torch'. strict_length: whether a text beyond the context is an error; else it is cut, and a warning is logged.
    Raises UnknownModelError where there is no such model, CheckpointError where its file is damaged, and
    ClipwrightError where this machine lacks what is asked for.
    """
    return load_embedder(
        name,
        threads=threads,
        pixels=pixels,
        backend=backend,
        precision=precision,
        compiled=compiled,
        strict_length=strict_length,
    )


@dataclass(frozen=True)
class LabelScore:
    """How well one label fits one picture."""

    label: str
    probability: float
    """Among the labels asked for, all of a picture summing to 1; with SigLIP models, of this label by itself."""
    similarity: float
    """Cosine of picture and label, -1 to 1."""


@dataclass(frozen=True)
class Classification:
    """The labels of one picture, the likeliest first; or why it has none."""

    source: Any
    labels: tuple[LabelScore, ...] = ()
    failure: Failure | None = None


def classify(
    embedder: Embedder,
    images: Iterable[ImageSource | Failure],
    labels: Sequence[str],
    templates: Sequence[str] | None = None,
    *,
    unknown: bool = False,
    batch_size: int = 32,
) -> list[Classification]:
    """For each picture the labels with their probabilities, the likeliest first (Radford et al. 2021, §3.1).

    Each label is put into the templates ('a photo of a {}.' where none are given) and their embeddings are averaged.
    unknown adds the answer 'none of these', which wins where no label stands out from general captions. A picture that
    cannot be read has its failure instead. Raises LabelError where labels or templates cannot be used.
    """
    return list(stream_classifications(embedder, images, labels, templates, unknown=unknown, batch_size=batch_size))


def stream_classifications(
    embedder: Embedder,
    images: Iterable[ImageSource | Failure],
    labels: Sequence[str],
    templates: Sequence[str] | None = None,
    *,
    unknown: bool = False,
    batch_size: int = 32,
    threads: int | None = None,
) -> Iterator[Classification]:
    """classify, picture by picture as they are done, in bounded memory. Labels are checked at once."""
    check_labels(labels, unknown=unknown)
    names = [label.strip() for label in labels]
    filled = embedder.embed_texts(fill_templates(names, templates or DEFAULT_TEMPLATES))
    label_vectors = average_templates(filled.reshape(len(names), -1, embedder.embed_dim))
    background = embedder.embed_texts(BACKGROUND_CAPTIONS) if unknown else None
    return _classifications(embedder, images, names, label_vectors, background, batch_size, threads)


def _classifications(
    embedder: Embedder,
    images: Iterable[ImageSource | Failure],
    labels: list[str],
    label_vectors: np.ndarray,
    background: np.ndarray | None,
    batch_size: int,
    threads: int | None,
) -> Iterator[Classification]:
    names = labels if background is None else [*labels, UNKNOWN]
    for source, result in embedder.stream_images(images, batch_size, threads):
        if isinstance(result, Failure):
            yield Classification(source, failure=result)
            continue
        similarities = similarity_matrix(result[None], label_vectors)
        if background is not None:
            general = similarity_matrix(result[None], background)
            similarities = np.hstack([similarities, unknown_similarity(general)])
        probabilities = label_probabilities(similarities, embedder.scale, embedder.bias)[0]
        order = np.argsort(-probabilities, kind="stable")
        scores = [LabelScore(names[i], float(probabilities[i]), float(similarities[0, i])) for i in order]
        yield Classification(source, tuple(scores))


def similarity(embedder: Embedder, images: Sequence[ImageSource], texts: Sequence[str]) -> np.ndarray:
    """Cosine of each picture with each text: (N, M) float32, -1 to 1. Raises ImageError at a picture it cannot read."""
    return similarity_matrix(embedder.embed_images(images), embedder.embed_texts(texts))
