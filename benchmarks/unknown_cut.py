"""Where should 'none of these' begin? Measures the cut of tasks/unknown.py on pictures that training left out.

    python benchmarks/unknown_cut.py --choose data/tiny-imagenet/train.parquet:50 data/caltech101/train.parquet:25 \\
        --report data/tiny-imagenet/val.parquet data/caltech101/test.parquet

Every picture is asked twice with ten labels drawn from its data set: once its own class is among them, once it is not.
A miss is 'none of these' although the class is there; a false alarm is a label although the class is missing. The cut
is chosen, where both are least in the mean, on the sets after --choose (PATH:N takes the rows that a source with
hold_out = N leaves out), and its rates are then shown on those after --report.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import clipwright
from clipwright.embedding.embedder import Embedder
from clipwright.errors import Failure
from clipwright.evaluation.datasets import LabelledImages, open_dataset
from clipwright.tasks.background import BACKGROUND_CAPTIONS
from clipwright.tasks.prompts import DEFAULT_TEMPLATES, fill_templates
from clipwright.tasks.unknown import standing
from clipwright.tasks.zero_shot import average_templates, similarity_matrix

LABELS_ASKED = 10
CUTS = np.arange(-1.0, 5.01, 0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--choose", nargs="+", required=True, metavar="PATH[:N]")
    parser.add_argument("--report", nargs="+", default=[], metavar="PATH[:N]")
    options = parser.parse_args()
    embedder = clipwright.load(options.model)
    chosen = [best_standings(embedder, name) for name in options.choose]
    errors = np.mean([[sum(rates(*pair, cut)) / 2 for cut in CUTS] for pair in chosen], axis=0)
    cut = float(CUTS[errors.argmin()])
    print(f"chosen cut: {cut:.1f} standard deviations above the background's mean\n")
    print("| pictures | misses | false alarms |\n|---|---|---|")
    for name, pair in zip(options.choose, chosen, strict=True):
        print_rates(f"{name} (chosen on)", *pair, cut)
    for name in options.report:
        print_rates(name, *best_standings(embedder, name), cut)


def best_standings(embedder: Embedder, argument: str) -> tuple[np.ndarray, np.ndarray]:
    """For every picture how far its best label stands out: with its class among the labels, and without it."""
    path, _, every = argument.partition(":")
    dataset = open_dataset(Path(path), hold_out=int(every) if every else None)
    if not isinstance(dataset, LabelledImages):
        raise SystemExit(f"{path} has no labels")
    stream = embedder.stream_images(dataset.table.image(int(row)) for row in dataset.rows)
    results = [result for _, result in stream]
    kept = [i for i, result in enumerate(results) if not isinstance(result, Failure)]
    images = np.array([results[i] for i in kept])
    texts = embedder.embed_texts(fill_templates(dataset.class_names, DEFAULT_TEMPLATES))
    classes = average_templates(texts.reshape(len(dataset.class_names), -1, embedder.embed_dim))
    background = embedder.embed_texts(BACKGROUND_CAPTIONS)
    standings = standing(similarity_matrix(images, classes), similarity_matrix(images, background))
    random = np.random.default_rng(0)
    present, missing = [], []
    for row, label in zip(standings, dataset.labels[kept], strict=True):
        others = random.permutation(np.delete(np.arange(len(row)), label))[:LABELS_ASKED]
        missing.append(row[others].max())
        present.append(max(row[label], row[others[1:]].max()))
    return np.array(present), np.array(missing)


def rates(present: np.ndarray, missing: np.ndarray, cut: float) -> tuple[float, float]:
    """Misses and false alarms at a cut."""
    return float((present < cut).mean()), float((missing >= cut).mean())


def print_rates(name: str, present: np.ndarray, missing: np.ndarray, cut: float) -> None:
    misses, alarms = rates(present, missing, cut)
    print(f"| {name}, {len(present):,} | {misses:.1%} | {alarms:.1%} |")


if __name__ == "__main__":
    main()
