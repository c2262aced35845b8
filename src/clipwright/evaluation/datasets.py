"""Data sets to measure on: pictures with labels or with captions, from Parquet files in the Hugging Face convention."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clipwright.errors import DatasetError
from clipwright.inputs.parquet_images import ParquetImages, held_out
from clipwright.inputs.text_files import read_text


@dataclass(frozen=True)
class LabelledImages:
    """Pictures, each with the number of its class."""

    name: str
    table: ParquetImages
    rows: np.ndarray
    labels: np.ndarray
    class_names: list[str]


@dataclass(frozen=True)
class CaptionedImages:
    """Pictures, each with its captions."""

    name: str
    table: ParquetImages
    rows: np.ndarray
    captions: list[list[str]]


def open_dataset(
    path: Path, class_names: list[str] | None = None, limit: int | None = None, hold_out: int | None = None
) -> LabelledImages | CaptionedImages:
    """The data set in a Parquet file.

    hold_out takes only the rows that a training source with that number holds back; limit at most so many rows,
    evenly spread.

    Rows without a caption are left out where others have some.
    Raises DatasetError where it has neither labels nor captions, or labels without names.
    """
    table = ParquetImages(path)
    chosen = np.arange(len(table))
    if hold_out is not None:
        chosen = chosen[held_out(len(table), hold_out)]
    if limit is not None and len(chosen) > limit:
        chosen = chosen[np.linspace(0, len(chosen) - 1, limit).astype(np.int64)]
    captions = table.captions() if table.has_captions else None
    if captions is not None:
        chosen = np.array([row for row in chosen if captions[row]], np.int64)
    if not len(chosen):
        raise DatasetError(f"{str(path)!r} has no rows to measure on")
    name = f"{path.parent.name}/{path.stem}"
    if captions is not None:
        return CaptionedImages(name, table, chosen, [captions[row] for row in chosen])
    labels = np.asarray(table.labels(), np.int64)[chosen]
    names = class_names or table.class_names
    if names is None:
        raise DatasetError(f"{str(path)!r} has no class names in its metadata; give them with --labels FILE.json")
    if labels.min() < 0 or labels.max() >= len(names):
        raise DatasetError(f"labels reach from {labels.min()} to {labels.max()}, but {len(names)} names are given")
    return LabelledImages(name, table, chosen, labels, names)


def read_class_names(path: Path) -> list[str]:
    """Class names from JSON: a list, or a table whose values are names or lists of names, the first of which counts."""
    try:
        table = json.loads(read_text(path))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{str(path)!r} cannot be read as JSON: {error}") from error
    values = list(table.values()) if isinstance(table, dict) else table
    if not isinstance(values, list) or not values:
        raise DatasetError(f"{str(path)!r} must be a list of class names, or a table of them")
    names = [value[0] if isinstance(value, list) and value else value for value in values]
    unusable = [name for name in names if not isinstance(name, str) or not name.strip()]
    if unusable:
        raise DatasetError(f"{str(path)!r} has {unusable[0]!r} where a class name belongs")
    return names
