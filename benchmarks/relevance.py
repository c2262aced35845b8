"""Does relevance tell what is there from what is not? Misses and false hits, beside a plain cosine threshold.

    python benchmarks/relevance.py --data data [--model starter] [--cosine 0.45]

Collections are made of labelled pictures that the starter was not trained on, so that some concepts are in them and
others are not; the queries are the names of both. A miss is a picture of the concept below the threshold; a false hit
is a picture above it though its concept is absent from the whole collection. One threshold serves all queries:
relevance 0.5, and for plain cosines the best single one (highest F1 in the mean over the kinds of collections), which
is chosen on the rows that training held out and on Flickr8k's development split (first table), where the constants of
tasks/relevance.py were chosen too. The second table is on the test splits. --cosine takes a threshold as it is, say
the one that was best for another model.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import clipwright
import machine
from clipwright.embedding.embedder import Embedder
from clipwright.errors import Failure
from clipwright.evaluation.datasets import CaptionedImages, LabelledImages, open_dataset
from clipwright.tasks.background import BACKGROUND_CAPTIONS
from clipwright.tasks.relevance import (
    adaptive_cut,
    background_statistics,
    collection_statistics,
    query_statistics,
    relevance,
)

CHOSEN_ON = ("tiny-imagenet/train.parquet", 50), ("caltech101/train.parquet", 25), ("flickr8k/dev.parquet", None)
REPORTED_ON = ("tiny-imagenet/val.parquet", None), ("caltech101/test.parquet", None), ("flickr8k/test.parquet", None)
MOST_ROWS = 4040
CONCEPTS = {
    "dog": "dogs? puppy puppies", "beach": "beach", "bicycle": "bicycles? bikes? biker bicyclist", "snow": "snow snowy",
    "football": "football", "water": "water pool lake ocean river", "child": "child children boys? girls? kids?",
    "horse": "horses?", "motorcycle": "motorcycles? motorbikes?", "mountain": "mountains?", "car": "cars? racecar",
    "grass": "grass grassy field lawn", "skateboard": "skateboard(s|er|ing)?", "soccer": "soccer", "tent": "tents?",
    "surfing": "surf(er|ing|board)?", "climbing": "climb(s|er|ing)?", "crowd": "crowd audience", "boat": "boats? kayak",
    "basketball": "basketball", "guitar": "guitars?", "bird": "birds? seagulls? ducks?", "fountain": "fountain",
    "snowboard": "snowboard(er|ing)?", "skiing": "skis? skier skiing", "baby": "baby babies infant",
}  # fmt: skip
"""What Flickr8k's captions may name, and the words that say so. There: in two of five captions; absent: in none."""
ABSENT = (
    "espresso", "goldfish", "pizza", "hourglass", "computer keyboard", "lemon", "tarantula", "refrigerator", "teapot",
    "African elephant", "jellyfish", "snail", "accordion", "helicopter", "chandelier", "crab", "dragonfly", "octopus",
    "scissors", "starfish", "sunflower", "wrench", "grand piano", "cactus", "zebra", "giraffe", "castle", "lighthouse",
    "microscope", "strawberry", "pyramid",
)  # fmt: skip


@dataclass(frozen=True)
class Collection:
    """Photographs and what is asked of them."""

    kind: str
    images: np.ndarray
    queries: np.ndarray
    picture_share: float
    truth: np.ndarray
    """(L, N): 1 where the picture shows what the query asks for, 0 where not, -1 where nobody knows."""


Scores = list[tuple[str, np.ndarray, np.ndarray]]
"""Of each query: its collection's kind, the scores of the pictures that somebody knows of, whether they show it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--cosine", type=float, help="a cosine threshold, instead of the best one")
    options = parser.parse_args()
    embedder = clipwright.load(options.model, pixels="fast")
    print(f"{machine.describe()}\n- {options.model}\n")
    background = embedder.embed_texts(BACKGROUND_CAPTIONS)
    cosine: float | None = options.cosine
    for title, sets in (("chosen on", CHOSEN_ON), ("reported on", REPORTED_ON)):
        opened = [open_set(embedder, options.data / path, hold_out) for path, hold_out in sets]
        collections = list(collections_of(embedder, *opened))
        cosines = [row for c in collections for row in rows(c, c.queries @ c.images.T)]
        relevances = [row for c in collections for row in rows(c, relevances_of(c, background))]
        if cosine is None:
            cosine = best_threshold([row for row in cosines if not row[0].startswith("picture")])
        print(f"## Pictures {title}: {', '.join(path for path, _ in sets)}\n")
        print_table(cosines, relevances, cosine)
        print_templates(embedder, opened)


def open_set(
    embedder: Embedder, path: Path, hold_out: int | None
) -> tuple[LabelledImages | CaptionedImages, np.ndarray]:
    dataset = open_dataset(path, limit=MOST_ROWS, hold_out=hold_out)
    vectors = []
    for _, result in embedder.stream_images(dataset.table.image(int(row)) for row in dataset.rows):
        if isinstance(result, Failure):
            raise SystemExit(f"{path}: {result.message}")
        vectors.append(result)
    return dataset, np.array(vectors)


def collections_of(
    embedder: Embedder, *opened: tuple[LabelledImages | CaptionedImages, np.ndarray]
) -> Iterator[Collection]:
    random = np.random.default_rng(0)
    for dataset, images in opened:
        if isinstance(dataset, CaptionedImages):
            yield from captioned(embedder, dataset, images, random)
            continue
        name, classes = dataset.name.split("/")[0], len(dataset.class_names)
        texts = embedder.embed_texts(dataset.class_names)
        kinds = ((f"{name}, half its classes", classes // 2, 1000, 2), (f"{name}, 20 pictures of 5", 5, 20, 40))
        for kind, kept, most, times in (*kinds, (f"{name}, one class", 1, 60, 40)):
            for _ in range(times):
                inside = np.isin(dataset.labels, random.permutation(classes)[:kept])
                within, without = (random.permutation(np.flatnonzero(mask)) for mask in (inside, ~inside))
                if not len(within):  # a class of which training held out no picture
                    continue
                asking = max(1, len(within) // 10) if kept > 1 else 0
                chosen, asked = within[asking:][:most], np.concatenate([within[:asking], without[:asking]])
                truth = dataset.labels[chosen][None] == np.arange(classes)[:, None]
                yield Collection(kind, images[chosen], texts, 0.0, truth.astype(np.int8))
                if not asking:
                    continue
                truth = (dataset.labels[chosen][None] == dataset.labels[asked][:, None]).astype(np.int8)
                yield Collection(f"picture queries: {kind}", images[chosen], images[asked], 1.0, truth)
                both = images[asked] + texts[dataset.labels[asked]]
                both /= np.linalg.norm(both, axis=1, keepdims=True)
                yield Collection(f"picture + words: {kind}", images[chosen], both, 0.5, truth)


def captioned(
    embedder: Embedder, dataset: CaptionedImages, images: np.ndarray, random: np.random.Generator
) -> Iterator[Collection]:
    def named(words: str) -> np.ndarray:
        pattern = re.compile(rf"\b({'|'.join(words.split())})\b", re.IGNORECASE)
        return np.array([sum(bool(pattern.search(caption)) for caption in five) for five in dataset.captions])

    counts = np.array([named(words) for words in CONCEPTS.values()])
    absent = [name for name in ABSENT if not named(name.replace(" ", r"\s")).any()]
    truth = np.where(counts >= 2, 1, np.where(counts == 0, 0, -1)).astype(np.int8)
    truth = np.concatenate([truth, np.zeros((len(absent), len(images)), np.int8)])
    texts = embedder.embed_texts([*CONCEPTS, *absent])
    yield Collection("flickr8k, all", images, texts, 0.0, truth)
    for _ in range(30):
        chosen = random.permutation(len(images))[:20]
        yield Collection("flickr8k, 20 pictures", images[chosen], texts, 0.0, truth[:, chosen])
    for i in range(len(CONCEPTS)):
        chosen = np.flatnonzero(counts[i] == 0)
        yield Collection("flickr8k, less a concept", images[chosen], texts[i : i + 1], 0.0, truth[i : i + 1, chosen])
        if (truth[i] == 1).sum() >= 60:
            chosen = np.flatnonzero(truth[i] == 1)[:60]
            yield Collection("flickr8k, one concept", images[chosen], texts, 0.0, truth[:, chosen])


def relevances_of(collection: Collection, background: np.ndarray) -> np.ndarray:
    backgrounds = background_statistics(collection.images, background)
    usual = collection_statistics(collection.images, backgrounds)
    similarities = collection.queries @ collection.images.T
    share = collection.picture_share
    return np.stack([relevance(row, backgrounds, usual, query_statistics(row, share)) for row in similarities])


def rows(collection: Collection, scores: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    for row, truth in zip(scores, collection.truth, strict=True):
        known = truth >= 0
        if known.any():
            yield collection.kind, row[known], truth[known] == 1


@dataclass(frozen=True)
class Rates:
    """Means over the queries of a kind; nan where there are none."""

    misses: float
    f1: float
    false_hits: float
    """Share of a collection that is found though the concept is absent."""
    silent: float
    """Queries for what is there that find nothing."""
    answered: float
    """Queries for what is absent that find something."""


def measure(scores: Scores, cut: Callable[[np.ndarray], float]) -> Rates:
    misses, f1, false_hits, silent, answered = [], [], [], [], []
    for _, row, shows in scores:
        found = row >= cut(row)
        if shows.any():
            right = int((found & shows).sum())
            misses.append(1 - right / shows.sum())
            f1.append(2 * right / (found.sum() + shows.sum()))
            silent.append(not found.any())
        else:
            false_hits.append(found.mean())
            answered.append(found.any())
    return Rates(*(float(np.mean(v)) if v else np.nan for v in (misses, f1, false_hits, silent, answered)))


def best_threshold(scores: Scores) -> float:
    kinds = by_kind(scores)
    thresholds = np.arange(-0.1, 0.9, 0.02)
    means = [np.nanmean([measure(rows, lambda _: t).f1 for rows in kinds.values()]) for t in thresholds]  # noqa: B023
    return float(thresholds[int(np.argmax(means))])


def by_kind(scores: Scores) -> dict[str, Scores]:
    kinds: dict[str, Scores] = {}
    for row in scores:
        kinds.setdefault(row[0], []).append(row)
    return kinds


def area(scores: Scores) -> float:
    """Under the ROC curve, all queries of a kind together: how often a right picture is above a wrong one."""
    values = np.concatenate([row for _, row, _ in scores])
    shows = np.concatenate([shows for _, _, shows in scores])
    _, ranks, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = (np.cumsum(counts) - (counts - 1) / 2)[ranks]
    right, wrong = int(shows.sum()), int((~shows).sum())
    return (middle[shows].sum() - right * (right + 1) / 2) / (right * wrong) if right and wrong else np.nan


def print_table(cosines: Scores, relevances: Scores, cosine: float) -> None:
    print("misses / false hits / answered / F1 / ROC area; of --adaptive: silent / answered / F1.")
    print("answered: queries for what is absent that find something; silent: for what is there that find nothing.")
    print(f"The cosine threshold is {cosine:.2f}.\n")
    print("| collections | cosine | relevance 0.5 | --adaptive |\n|---|---|---|---|")
    plain, ours = by_kind(cosines), by_kind(relevances)
    table = {}
    for kind in plain:
        one, two = measure(plain[kind], lambda _: cosine), measure(ours[kind], lambda _: 0.5)
        three = measure(ours[kind], lambda row: adaptive_cut(float(row.max()), len(row)))
        first = [one.misses, one.false_hits, one.answered, one.f1, area(plain[kind])]
        second = [two.misses, two.false_hits, two.answered, two.f1, area(ours[kind])]
        table[kind] = [first, second, [three.silent, three.answered, three.f1]]
        print_row(kind, table[kind])
    for title, pictures in (("**words, mean**", False), ("**with pictures, mean**", True)):
        chosen = [cells for kind, cells in table.items() if kind.startswith("picture") == pictures]
        print_row(title, [np.nanmean([cells[i] for cells in chosen], axis=0).tolist() for i in range(3)])
    print()


def print_row(title: str, cells: list[list[float]]) -> None:
    written = (" / ".join("-" if np.isnan(value) else f"{value:.3f}" for value in values) for values in cells)
    print(f"| {title} | {' | '.join(written)} |")


def print_templates(embedder: Embedder, opened: list[tuple[LabelledImages | CaptionedImages, np.ndarray]]) -> None:
    """Do words search better in a sentence? R@10 of captions, and mean average precision of names, by cosine."""
    print("| search words as | " + " | ".join(dataset.name for dataset, _ in opened) + " |\n|---|---|---|---|")
    for template in ("{}", "{}.", "a photo of {}.", "a photo of a {}."):
        cells = []
        for dataset, images in opened:
            if isinstance(dataset, CaptionedImages):
                texts = embedder.embed_texts([template.format(five[0]) for five in dataset.captions])
                similarities = texts @ images.T
                ranks = (similarities > np.diag(similarities)[:, None]).sum(axis=1)
                cells.append(f"R@10 {(ranks < 10).mean():.3f}")
            else:
                similarities = embedder.embed_texts([template.format(n) for n in dataset.class_names]) @ images.T
                shows = dataset.labels[None] == np.arange(len(similarities))[:, None]
                cells.append(f"mAP {mean_average_precision(similarities, shows):.3f}")
        print(f"| `{template}` | {' | '.join(cells)} |")
    print()


def mean_average_precision(scores: np.ndarray, shows: np.ndarray) -> float:
    precisions = []
    for row, right in zip(scores, shows, strict=True):
        if right.any():
            hits = right[np.argsort(-row)]
            precisions.append((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())
    return float(np.mean(precisions))


if __name__ == "__main__":
    main()
