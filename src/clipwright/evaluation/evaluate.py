"""Measuring a model on a data set: zero-shot accuracy where it has labels, retrieval where it has captions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from clipwright.embedding.embedder import Embedder
from clipwright.errors import DatasetError, Failure
from clipwright.evaluation.datasets import CaptionedImages, LabelledImages
from clipwright.evaluation.metrics import Share, retrieval_hits, share, top_k_hits
from clipwright.inputs.parquet_images import ParquetImages
from clipwright.tasks.prompts import BENCHMARK_TEMPLATES, fill_templates
from clipwright.tasks.zero_shot import average_templates, similarity_matrix

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Evaluation:
    """What was measured on one data set."""

    dataset: str
    images: int
    metrics: dict[str, Share]
    failures: tuple[Failure, ...]
    """Pictures that could not be read; they are left out of the metrics."""


def evaluate(
    embedder: Embedder,
    dataset: LabelledImages | CaptionedImages,
    templates: tuple[str, ...] = BENCHMARK_TEMPLATES,
    progress: Progress | None = None,
    batch_size: int = 64,
) -> Evaluation:
    """Zero-shot top-1 and top-5 over all class names, or retrieval R@1, 5 and 10 in both directions."""
    images, kept, failures = _embed_rows(embedder, dataset.table, dataset.rows, progress, batch_size)
    if not len(images):
        raise DatasetError(f"no picture of {dataset.name} could be read; the first: {failures[0].message}")
    if isinstance(dataset, LabelledImages):
        metrics = _zero_shot(embedder, images, dataset.labels[kept], dataset.class_names, templates)
    else:
        metrics = _retrieval(embedder, images, [dataset.captions[i] for i in kept])
    return Evaluation(dataset.name, len(images), metrics, tuple(failures))


def _embed_rows(
    embedder: Embedder, table: ParquetImages, rows: np.ndarray, progress: Progress | None, batch_size: int
) -> tuple[np.ndarray, np.ndarray, list[Failure]]:
    vectors, kept, failures = [], [], []
    stream = embedder.stream_images((table.image(int(row)) for row in rows), batch_size)
    for position, (_, result) in enumerate(stream):
        if isinstance(result, Failure):
            failures.append(Failure(table.name(int(rows[position])), result.code, result.message))
        else:
            vectors.append(result)
            kept.append(position)
        if progress is not None:
            progress(position + 1, len(rows))
    return np.array(vectors), np.array(kept, np.int64), failures


def _zero_shot(
    embedder: Embedder, images: np.ndarray, labels: np.ndarray, class_names: list[str], templates: tuple[str, ...]
) -> dict[str, Share]:
    texts = embedder.embed_texts(fill_templates(class_names, templates))
    classes = average_templates(texts.reshape(len(class_names), len(templates), -1))
    similarities = similarity_matrix(images, classes)
    return {f"top-{k}": share(top_k_hits(similarities, labels, k)) for k in (1, 5)}


def _retrieval(embedder: Embedder, images: np.ndarray, captions: list[list[str]]) -> dict[str, Share]:
    texts = embedder.embed_texts([caption for own in captions for caption in own])
    owners = np.repeat(np.arange(len(captions)), [len(own) for own in captions])
    similarities = similarity_matrix(images, texts)
    metrics: dict[str, Share] = {}
    for k in (1, 5, 10):
        to_text, to_image = retrieval_hits(similarities, owners, k)
        metrics[f"image-to-text R@{k}"], metrics[f"text-to-image R@{k}"] = share(to_text), share(to_image)
    return metrics
