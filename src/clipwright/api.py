"""What a program calls: load a model, classify pictures, compare pictures with texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clipwright.embedding.embedder import Embedder, Pixels
from clipwright.embedding.load import BackendChoice, PrecisionChoice, load_embedder
from clipwright.errors import Failure, shown_source
from clipwright.inputs.images import ImageSource
from clipwright.tasks.classifier import Classifier, LabelScore, LabelTexts
from clipwright.tasks.zero_shot import similarity_matrix


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
    the hub. 'weights.pt:ViT-B-32' names the architecture of bare weights, 'owner/name:fp16' one of several variants,
    and 'images+texts' two that make a model together (docs/guides/models.md).

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


@dataclass(frozen=True, repr=False)
class Classification:
    """The labels of one picture, the likeliest first; or why it has none."""

    source: Any
    labels: tuple[LabelScore, ...] = ()
    failure: Failure | None = None

    def __repr__(self) -> str:
        return f"Classification(source={shown_source(self.source)}, labels={self.labels}, failure={self.failure})"


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
    asked = LabelTexts.of(labels, templates, unknown=unknown)
    classifier = asked.classifier(embedder.embed_texts(asked.texts), embedder.scale, embedder.bias)
    return _classifications(classifier, embedder.stream_images(images, batch_size, threads))


def _classifications(
    classifier: Classifier, embedded: Iterable[tuple[Any, np.ndarray | Failure]]
) -> Iterator[Classification]:
    for source, result in embedded:
        if isinstance(result, Failure):
            yield Classification(source, failure=result)
        else:
            yield Classification(source, classifier.scores(result[None])[0])


def similarity(embedder: Embedder, images: Sequence[ImageSource], texts: Sequence[str]) -> np.ndarray:
    """Cosine of each picture with each text: (N, M) float32, -1 to 1. Raises ImageError at a picture it cannot read."""
    return similarity_matrix(embedder.embed_images(images), embedder.embed_texts(texts))
