"""Where training pairs come from. A source is a numbered list: the same number always gives the same pair.

A source is pictures and captions that were brought into the same order. Pictures stand in a Parquet file, in tar files
or in files of their own; captions are a picture's own, or made from its label.
"""

from __future__ import annotations

import csv
import glob
import io
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from clipwright.errors import DatasetError
from clipwright.inputs.image_names import image_suffixes
from clipwright.inputs.parquet_images import ParquetImages, held_out
from clipwright.inputs.tar_images import TarImages
from clipwright.inputs.text_files import read_text, text_lines
from clipwright.training.recipe import SourceRecipe


class Images(Protocol):
    """Numbered pictures, still encoded. name is how a picture is called in the log."""

    def __len__(self) -> int: ...
    def image(self, index: int, /) -> bytes | Path: ...
    def name(self, index: int, /) -> str: ...


@dataclass(frozen=True)
class Caption:
    """One caption of a picture. name is what a label's caption calls the class; None for a caption of its own."""

    text: str
    name: str | None


class Captions(Protocol):
    """The captions of numbered pictures."""

    def draw(self, index: int, random: np.random.Generator, /) -> Caption: ...
    def true_names(self, index: int, /) -> frozenset[str]:
        """The names under which labels' captions may rightly call this picture."""

    def corpus(self) -> Iterator[str]:
        """Texts from which a vocabulary is learned."""


class FileImages:
    """Pictures in files of their own."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def image(self, index: int) -> Path:
        return self._paths[index]

    def name(self, index: int) -> str:
        return str(self._paths[index])


class OwnCaptions:
    """Captions that were written for the pictures."""

    def __init__(self, captions: Sequence[Sequence[str]]) -> None:
        self._captions = captions

    def draw(self, index: int, random: np.random.Generator) -> Caption:
        captions = self._captions[index]
        return Caption(captions[int(random.integers(len(captions)))], None)

    def true_names(self, index: int) -> frozenset[str]:
        return frozenset()

    def corpus(self) -> Iterator[str]:
        return itertools.chain.from_iterable(self._captions)


class LabelCaptions:
    """Captions made from labels (-1 for none): a template with a name of the class, most often its own."""

    def __init__(
        self,
        labels: Sequence[int],
        classes: Sequence[str],
        others: dict[str, list[str]],
        templates: tuple[str, ...],
        own_name: float,
    ) -> None:
        """others: further names of a class; own_name: how often a caption uses the class's own all the same."""
        unknown = [name for name in others if name not in classes]
        if unknown:
            raise DatasetError(f"names are given for classes that the data lack: {', '.join(unknown[:3])}")
        if not -1 <= min(labels) <= max(labels) < len(classes):
            raise DatasetError(
                f"labels reach from {min(labels)} to {max(labels)}, but there are {len(classes)} classes"
            )
        self._labels = labels
        self._classes = classes
        self._others = [others.get(name, []) for name in classes]
        self._true = [
            frozenset(n.lower() for n in (own, *more)) for own, more in zip(classes, self._others, strict=True)
        ]
        self._templates = templates
        self._own_name = own_name

    def draw(self, index: int, random: np.random.Generator) -> Caption:
        label = self._labels[index]
        others = self._others[label]
        own = not others or random.random() < self._own_name
        name = self._classes[label] if own else others[int(random.integers(len(others)))]
        template = self._templates[int(random.integers(len(self._templates)))]
        return Caption(template.format(name), name.lower())

    def true_names(self, index: int) -> frozenset[str]:
        return self._true[self._labels[index]]

    def corpus(self) -> Iterator[str]:
        """Every caption that can be drawn, as often as captions of its class are, in hundreds."""
        counts = np.bincount([label for label in self._labels if label >= 0], minlength=len(self._classes))
        for own, others, count in zip(self._classes, self._others, counts, strict=True):
            for name in (own, *others):
                for template in self._templates:
                    yield from itertools.repeat(template.format(name), 1 + int(count) // 100)


@dataclass(frozen=True)
class Source:
    """Pictures, their captions, and which of them are trained on."""

    images: Images
    captions: Captions
    rows: np.ndarray
    """(N,) int64: the numbers that are trained on; the others are held out."""
    weight: float
    squeezed_from: tuple[float, ...] = ()
    """Shapes (width by height) that the pictures may have had before they were squeezed; empty: they were not."""
    broken: tuple[str, ...] = ()
    """Samples whose text cannot be read, each with its reason; they are not among the rows."""

    def __len__(self) -> int:
        return len(self.rows)


def open_source(recipe: SourceRecipe, folder: Path) -> Source:
    """The source that a recipe in this folder names. Raises DatasetError where it is missing, empty or does not fit."""
    files = _find_files(recipe.path, folder)
    others = _read_names(folder / recipe.names) if recipe.names else {}
    classes = _read_classes(folder / recipe.classes) if recipe.classes else None
    images: Images
    own: Sequence[Sequence[str]] | None = None
    labels: Sequence[int] = ()
    broken: Sequence[str] = ()
    if len(files) > 1 and recipe.kind != "webdataset":
        what = "folder" if recipe.kind == "folder" else "file"
        raise DatasetError(f"{recipe.path!r} matches {len(files)} {what}s; give each {what} its own source")
    if recipe.kind == "parquet":
        images = table = ParquetImages(files[0])
        own = table.captions() if table.has_captions else None
        labels = table.labels() if own is None else ()
        classes = classes or table.class_names
    elif recipe.kind == "webdataset":
        images = tars = TarImages(files)
        own, labels, broken = tars.captions, tars.labels, tars.broken
    elif recipe.kind == "folder":
        images, own, broken = _read_folder(files[0])
    else:
        images, own = _read_csv(files[0])
    if not len(images):
        first = f"; the first text that cannot be read: {broken[0]}" if broken else ""
        raise DatasetError(f"{recipe.path!r} holds no pictures with captions{first}")
    captions: Captions
    if own is not None:
        captions = OwnCaptions(own)
    elif classes is None:
        raise DatasetError(f"{recipe.path!r} has labels but no names for them; give a JSON list with classes = ...")
    else:
        captions = LabelCaptions(labels, classes, others, recipe.templates, recipe.own_name)
    usable = np.array([bool(lines) for lines in own] if own is not None else [label >= 0 for label in labels])
    if recipe.hold_out is not None:
        usable &= ~held_out(len(images), recipe.hold_out)
    rows = np.flatnonzero(usable)
    if not len(rows):
        raise DatasetError(f"{recipe.path!r} has no row with a caption or a label that may be trained on")
    return Source(images, captions, rows, recipe.weight, recipe.squeezed_from, tuple(broken))


def _find_files(pattern: str, folder: Path) -> list[Path]:
    named = folder / pattern  # which may look like a pattern, as 'photos [1]' does
    found = (
        [named]
        if named.exists()
        else sorted(map(Path, glob.glob(f"{glob.escape(str(folder))}/{pattern}", recursive=True)))
    )
    if not found:
        raise DatasetError(f"no file matches {str(folder / pattern)!r}, which the recipe names")
    return found


def _read_names(path: Path) -> dict[str, list[str]]:
    table = _read_json(path)
    if not isinstance(table, dict) or not all(isinstance(names, list) for names in table.values()):
        raise DatasetError(f"{str(path)!r} must map each class to a list of its other names")
    return {str(own): [str(name) for name in names] for own, names in table.items()}


def _read_classes(path: Path) -> list[str]:
    classes = _read_json(path)
    if not isinstance(classes, list):
        raise DatasetError(f"{str(path)!r} must be a list of class names, the first for label 0")
    return [str(name) for name in classes]


def _read_json(path: Path) -> object:
    try:
        return json.loads(read_text(path))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{str(path)!r} cannot be read as JSON: {error}") from error


def _read_folder(folder: Path) -> tuple[FileImages, list[list[str]], list[str]]:
    """Pictures with a text file of the same stem beside them, one caption a line; and the texts that are none."""
    if not folder.is_dir():
        raise DatasetError(f"{str(folder)!r} is no folder")
    paths, captions, broken = [], [], []
    for path in sorted(folder.rglob("*")):
        text = path.with_suffix(".txt")
        if path.suffix.lower() in image_suffixes() and text.is_file():
            try:
                lines = text_lines(read_text(text))
            except ValueError as error:
                broken.append(f"{text}: {error}")
                continue
            if lines:
                paths.append(path)
                captions.append(lines)
    return FileImages(paths), captions, broken


def _read_csv(path: Path) -> tuple[FileImages, list[list[str]]]:
    """Columns 'image' (a path from the CSV's folder) and 'caption'; rows of one image are joined.

    Raises DatasetError naming the line whose fields are not those of the first.
    """
    try:
        text = read_text(path)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{str(path)!r} cannot be read as CSV: {error}") from error
    rows = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    captions: dict[str, list[str]] = {}
    line = 1
    try:
        columns = next(rows, [])
        if not {"image", "caption"} <= set(columns):
            raise DatasetError(
                f"{str(path)!r} needs the columns 'image' and 'caption' in its first line, with a comma between;"
                f" it has {', '.join(map(repr, columns)) or 'none'}"
            )
        image, caption = columns.index("image"), columns.index("caption")
        line = rows.line_num + 1
        for row in rows:
            if row and len(row) != len(columns):
                raise DatasetError(
                    f"line {line} of {str(path)!r} has not the {len(columns)} fields of the first line but {len(row)};"
                    " a caption with a comma in it needs double quotes around it"
                )
            if row and row[image] and row[caption].strip():
                captions.setdefault(row[image], []).append(row[caption])
            line = rows.line_num + 1
    except csv.Error as error:  # a quote that is never closed would take the rest of the file into one caption
        raise DatasetError(f"{str(path)!r} is no CSV from line {line} on: {error}; are its quotes in pairs?") from error
    return FileImages([path.parent / name for name in captions]), list(captions.values())
