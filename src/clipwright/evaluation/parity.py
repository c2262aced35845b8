"""How near two variants of a model are: the same weights in another precision or another file.

Raw cosines flatter: all photographs of a model lie in one direction to begin with. So the mean of the reference's
vectors is taken off both before they are compared, and what people do with vectors is compared too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clipwright.embedding.calibration import SENTENCES, dead_leaves
from clipwright.embedding.embedder import Embedder
from clipwright.errors import ClipwrightError, DatasetError, DimensionError, Failure
from clipwright.inputs.images import ImageSource
from clipwright.inputs.parquet_images import ParquetImages
from clipwright.inputs.photo_paths import find_photos
from clipwright.tasks.background import BACKGROUND_CAPTIONS
from clipwright.tasks.zero_shot import similarity_matrix

LABELS = BACKGROUND_CAPTIONS
"""Of which each photograph gets one."""
MOST_PHOTOGRAPHS = 1000
"""Of more, so many are taken, evenly spread: further ones would change little."""
_NEAREST = 10
_MADE_UP = range(1000, 1024)
"""Seeds of made-up pictures: others than those that int8 is calibrated on."""
_NO_DIRECTION = 1e-6
"""A vector that lies so near to the mean points nowhere."""
_TEXTS_AT_ONCE = 256
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Nearness:
    """How near the vectors of one tower are to the reference's."""

    count: int
    largest_difference: float
    """Between two numbers of unit rows."""
    cosine_mean: float | None
    """Of centred vectors; None where there are no photographs to say it of."""
    cosine_least: float | None


@dataclass(frozen=True)
class Parity:
    """How near a variant is to the reference."""

    photographs: Nearness
    texts: Nearness | None
    """None where the model has no tokenizer."""
    labels_agree: float | None
    """Share of photographs that get the same one of LABELS."""
    recall_at_10: float | None
    """Share of the reference's ten photographs nearest to a text that are among the variant's ten."""


@dataclass(frozen=True)
class Vectors:
    """What one variant makes of a set: unit rows. texts and labels have none where the model has no tokenizer."""

    images: np.ndarray
    texts: np.ndarray
    labels: np.ndarray


def compare_variants(reference: Vectors, variant: Vectors) -> Parity:
    """How near the variant's vectors of photographs, texts and labels are to the reference's.

    Raises DimensionError where they are not of the same set, ClipwrightError where the variant's are no numbers.
    """
    _check(reference, variant)
    return Parity(
        photographs=_nearness(reference.images, variant.images),
        texts=_nearness(reference.texts, variant.texts) if len(reference.texts) else None,
        labels_agree=_labels_agree(reference, variant) if len(reference.labels) else None,
        recall_at_10=_recall(reference, variant) if len(reference.texts) else None,
    )


def compare_numbers(reference: Vectors, variant: Vectors) -> Parity:
    """What can be said where the pictures are no photographs: how far single numbers are apart. Raises as above."""
    _check(reference, variant)
    photographs, texts = (
        Nearness(len(ours), _largest_difference(ours, theirs), None, None) if len(ours) else None
        for ours, theirs in ((reference.images, variant.images), (reference.texts, variant.texts))
    )
    assert photographs is not None
    return Parity(photographs, texts, None, None)


def _check(reference: Vectors, variant: Vectors) -> None:
    for what, rows in vars(reference).items():
        others = getattr(variant, what)
        if rows.shape != others.shape:
            raise DimensionError(f"{what} of shapes {rows.shape} and {others.shape} are not of the same set")
        if not np.isfinite(others).all():
            raise ClipwrightError(f"the variant gives vectors of {what} that are no numbers; take another precision")


def _largest_difference(reference: np.ndarray, variant: np.ndarray) -> float:
    return float(np.abs(reference - variant).max())


def _nearness(reference: np.ndarray, variant: np.ndarray) -> Nearness:
    mean = reference.mean(axis=0, dtype=np.float64)
    a, b = reference - mean, variant - mean
    lengths = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    told = lengths[0] > _NO_DIRECTION
    products = (a * b).sum(axis=1)[told] / np.maximum(lengths[0] * lengths[1], _NO_DIRECTION**2)[told]
    return Nearness(
        count=len(reference),
        largest_difference=_largest_difference(reference, variant),
        cosine_mean=float(products.mean()) if len(products) else None,
        cosine_least=float(products.min()) if len(products) else None,
    )


def _labels_agree(reference: Vectors, variant: Vectors) -> float:
    ours, theirs = (similarity_matrix(each.images, each.labels).argmax(axis=1) for each in (reference, variant))
    return float((ours == theirs).mean())


def _recall(reference: Vectors, variant: Vectors) -> float | None:
    """None where there are ten photographs at most: they would all be found."""
    if len(reference.images) <= _NEAREST:
        return None
    ours, theirs = (
        np.argsort(-similarity_matrix(each.texts, each.images), axis=1, kind="stable")[:, :_NEAREST]
        for each in (reference, variant)
    )
    return float((ours[:, :, None] == theirs[:, None, :]).any(axis=2).mean())


@dataclass(frozen=True)
class ParitySet:
    """Pictures and texts to compare variants on."""

    name: str
    count: int
    picture: Callable[[int], ImageSource]
    """Each picture by its number, read when it is asked for."""
    source: Callable[[int], Any]
    """How each picture is called in messages."""
    texts: Sequence[str]
    photographs: bool
    """Whether these are photographs."""


def made_up_set() -> ParitySet:
    """Pictures and sentences that are made here. They show whether something is broken, and little else."""
    return ParitySet(
        name="made-up pictures",
        count=len(_MADE_UP),
        picture=lambda number: dead_leaves(_MADE_UP[number]),
        source=lambda number: f"made-up picture {number}",
        texts=SENTENCES,
        photographs=False,
    )


def photograph_set(path: Path) -> ParitySet:
    """The photographs in a folder or in a Parquet file, whose captions, where it has some, are the texts.

    Other photographs are searched with LABELS. Raises DatasetError where there are none.
    """
    if not path.is_dir():
        return _parquet_set(path)
    paths = [photo for photo in find_photos([path]) if isinstance(photo, Path)]
    if not paths:
        raise DatasetError(f"{str(path)!r} is a folder without pictures")
    chosen = [paths[number] for number in _spread(len(paths))]
    return ParitySet(str(path), len(chosen), chosen.__getitem__, chosen.__getitem__, LABELS, photographs=True)


def _parquet_set(path: Path) -> ParitySet:
    table = ParquetImages(path)
    if not len(table):
        raise DatasetError(f"{str(path)!r} has no rows to measure on")
    rows = _spread(len(table))
    captions = table.captions() if table.has_captions else []
    texts = [caption for row in rows for caption in captions[row]] if captions else []
    return ParitySet(
        name=f"{path.parent.name}/{path.stem}",
        count=len(rows),
        picture=lambda number: table.image(rows[number]),
        source=lambda number: table.name(rows[number]),
        texts=texts or LABELS,
        photographs=True,
    )


def _spread(count: int) -> list[int]:
    numbers: list[int] = np.linspace(0, count - 1, min(count, MOST_PHOTOGRAPHS)).astype(np.int64).tolist()
    return numbers


def measure(
    reference: Callable[[], Embedder],
    variant: Callable[[], Embedder],
    measured: ParitySet,
    *,
    has_tokenizer: bool,
    progress: Progress | None = None,
) -> tuple[Parity, tuple[Failure, ...]]:
    """The parity of two variants on a set, and the pictures that could not be read, which are left out.

    reference and variant open an embedder; each is opened once for pictures and once for texts, so that one tower is in
    memory at a time. Raises DatasetError where no picture can be read.
    """
    texts = [*measured.texts, *LABELS] if has_tokenizer else []
    steps = _Steps(2 * (measured.count + len(texts)), progress)
    ours, failures = _image_vectors(reference(), measured, steps)
    if not len(ours):
        raise DatasetError(f"no picture of {measured.name} could be read; the first: {failures[0].message}")
    theirs, _ = _image_vectors(variant(), measured, steps)
    middle = len(texts) - len(LABELS) if texts else 0
    words = (_text_vectors(opened(), texts, steps) if texts else ours[:0] for opened in (reference, variant))
    vectors = [
        Vectors(images, rows[:middle], rows[middle:]) for images, rows in zip((ours, theirs), words, strict=True)
    ]
    compare = compare_variants if measured.photographs else compare_numbers
    return compare(vectors[0], vectors[1]), tuple(failures)


class _Steps:
    """Counts towards a total."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def add(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._progress(self._done, self._total)


def _image_vectors(embedder: Embedder, measured: ParitySet, steps: _Steps) -> tuple[np.ndarray, list[Failure]]:
    vectors, failures = [], []
    pictures = (measured.picture(number) for number in range(measured.count))
    for number, (_, result) in enumerate(embedder.stream_images(pictures)):
        if isinstance(result, Failure):
            failures.append(Failure(measured.source(number), result.code, result.message))
        else:
            vectors.append(result)
        steps.add(1)
    return np.array(vectors).reshape(len(vectors), embedder.embed_dim), failures


def _text_vectors(embedder: Embedder, texts: Sequence[str], steps: _Steps) -> np.ndarray:
    rows = []
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        rows.append(embedder.embed_texts(texts[start : start + _TEXTS_AT_ONCE]))
        steps.add(len(rows[-1]))
    return np.concatenate(rows)
