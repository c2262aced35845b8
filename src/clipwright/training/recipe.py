"""The recipe: everything that decides what a training run makes, as one TOML file. docs/guides/train.md explains it."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from clipwright.checkpoints.checkpoint import TOWER_KINDS
from clipwright.errors import RecipeError
from clipwright.inputs.text_files import read_text
from clipwright.model.config import ModelConfig, VisionTransformerConfig
from clipwright.records import read_record, write_record

TEMPLATES = ("a photo of a {}.",)


@dataclass(frozen=True, kw_only=True)
class SourceRecipe:
    """Where pictures and their captions come from."""

    kind: Literal["parquet", "webdataset", "folder", "csv"]
    """parquet: Hugging Face image convention. webdataset: tar files of KEY.jpg beside KEY.txt, KEY.cls or KEY.json.
    folder: pictures beside text files of the same stem. csv: columns 'image' and 'caption'."""
    path: str
    """A file, or a pattern with * for several; from the recipe's folder where it is not absolute."""
    weight: float
    """Share of this source in every batch, against the other weights."""
    templates: tuple[str, ...] = TEMPLATES
    """Captions for pictures that have labels; {} is where the name stands."""
    classes: str | None = None
    """JSON list of class names by label; none: the names in the file's own metadata."""
    names: str | None = None
    """JSON: class name to a list of other names for it."""
    own_name: float = 0.75
    """How often a caption uses the class's own name, where it has others; else it uses one of those."""
    squeezed_from: tuple[float, ...] = ()
    """Width by height that its pictures may have had before they were squeezed into squares; one is drawn each time
    and undone. Empty: they were not squeezed."""
    hold_out: int | None = None
    """Every so many-th row is never trained on, and is what an evaluation with the same number measures."""

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise ValueError(f"weight must be above 0, not {self.weight}")
        if not 0 <= self.own_name <= 1:
            raise ValueError(f"own_name is a share between 0 and 1, not {self.own_name}")
        if any(ratio <= 0 for ratio in self.squeezed_from):
            raise ValueError(f"squeezed_from must hold ratios above 0, not {self.squeezed_from}")
        if self.hold_out is not None and self.hold_out < 2:
            raise ValueError(f"hold_out must be at least 2, not {self.hold_out}")
        if any(template.count("{}") != 1 for template in self.templates) or not self.templates:
            raise ValueError("every template needs one {} where the name stands")


@dataclass(frozen=True, kw_only=True)
class AugmentRecipe:
    """How a picture is varied each time it is seen."""

    area: tuple[float, float] = (0.4, 1.0)
    """The crop's share of the picture, drawn evenly."""
    aspect: tuple[float, float] = (0.8, 1.25)
    """Width by height of the crop, drawn evenly in its logarithm."""
    flip: float = 0.5
    """Probability of mirroring left and right."""
    colour: float = 0.0
    """Brightness, contrast and saturation are each scaled by 1 plus or minus this at most."""
    tint: float = 0.0
    """Red, green and blue are each scaled by 1 plus or minus this at most."""

    def __post_init__(self) -> None:
        if not 0 < self.area[0] <= self.area[1] <= 1:
            raise ValueError(f"area must be two shares of 1 in order, not {self.area}")
        if not 0 < self.aspect[0] <= self.aspect[1]:
            raise ValueError(f"aspect must be two ratios in order, not {self.aspect}")
        if not 0 <= self.flip <= 1 or not 0 <= self.colour < 1 or not 0 <= self.tint < 1:
            raise ValueError("flip, colour and tint are shares between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class ImageSizeStep:
    """From this share of the run on, pictures are trained at this size."""

    start: float
    image_size: int


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """How long, how fast and with what arithmetic."""

    steps: int
    batch_size: int
    learning_rate: float
    """At the end of the warm-up; it then falls to 0 along a cosine."""
    warmup_steps: int
    optimizer: Literal["adamw", "muon"] = "adamw"
    """muon: hidden matrices and kernels move by their orthogonalised momentum (Jordan et al. 2024), the rest by AdamW.
    It learns more from each sample and costs the same for every step, so it goes with large batches."""
    momentum: float = 0.95
    """Of Muon."""
    weight_decay: float = 0.1
    """Decoupled, on matrices and kernels only: not on gains, biases, embeddings of position or the temperature."""
    beta1: float = 0.9
    beta2: float = 0.98
    epsilon: float = 1e-6
    gradient_clip: float = 1.0
    """Largest norm of all gradients together."""
    seed: int = 0
    start_from: str | None = None
    """A model of the same config whose weights, vocabulary and input spec the run begins with: the path of a file or
    folder from the recipe's folder, or any other name that --model takes. None: random weights, and a vocabulary
    learned from the captions."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """bf16: matrix products and convolutions in bfloat16 (autocast); weights and loss stay float32. auto: what is
    faster when the run begins; a run that is gone on with stays with it."""
    image_sizes: tuple[ImageSizeStep, ...] = ()
    """Smaller pictures early make the first epochs cheaper (Tan and Le 2021, §4.2); empty: the model's own size."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = None
    """Torch threads on a CPU; none: all cores."""
    workers: int = 2
    """Threads that decode ahead. Any number gives the same batches."""
    log_every: int = 20
    checkpoint_every: int = 500
    evaluate_every: int = 1000
    max_broken: float = 0.01
    """Share of broken samples that stops the run."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "workers", "log_every", "checkpoint_every", "evaluate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.batch_size < 2:
            raise ValueError("batch_size must be at least 2: the loss compares pictures with each other's captions")
        self._check_optimizer()
        if not 0 <= self.warmup_steps <= self.steps:
            raise ValueError(f"warmup_steps must lie between 0 and steps, not at {self.warmup_steps}")
        if [step.start for step in self.image_sizes] != sorted({step.start for step in self.image_sizes}):
            raise ValueError("image_sizes must stand in the order of their start")
        if self.image_sizes and self.image_sizes[0].start != 0:
            raise ValueError("the first of image_sizes must start at 0")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads must be at least 1, not {self.threads}")

    def _check_optimizer(self) -> None:
        for name in ("learning_rate", "gradient_clip", "epsilon"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("seed", "weight_decay"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} may not be below 0, as {getattr(self, name)} is")
        for name in ("beta1", "beta2", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie between 0 and 1, not at {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class EvaluationRecipe:
    """Zero-shot accuracy or retrieval on a Parquet file, measured every training.evaluate_every steps."""

    name: str
    path: str
    hold_out: int | None = None
    """Measures the rows that a source with the same number holds back; none: all rows."""
    limit: int | None = None
    """At most so many pictures, evenly spread."""


@dataclass(frozen=True, kw_only=True)
class ModelRecipe:
    """The model and what is said of it in its file."""

    name: str
    licence: str = ""
    data: tuple[str, ...] = ()
    """One line a data set: name, origin, licence."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run."""

    model: ModelRecipe
    config: ModelConfig
    training: TrainingRecipe
    sources: tuple[SourceRecipe, ...]
    augment: AugmentRecipe = field(default_factory=AugmentRecipe)
    evaluations: tuple[EvaluationRecipe, ...] = ()

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError("a recipe needs at least one entry in sources")
        if self.config.text.context_length < 3:
            raise ValueError("config.text.context_length must be at least 3: start, one token and end")
        vision, sizes = self.config.vision, self.training.image_sizes
        for step in sizes:
            if step.image_size > vision.image_size:
                raise ValueError(f"image_sizes may not exceed the model's image_size {vision.image_size}")
            if isinstance(vision, VisionTransformerConfig) and step.image_size != vision.image_size:
                raise ValueError("image_sizes need a resnet: a vision transformer reads one size only")
            if step.image_size % 32:
                raise ValueError(f"image_sizes must be multiples of 32, not {step.image_size}")
        if sizes and (sizes[-1].image_size != vision.image_size or sizes[-1].start >= 1):
            raise ValueError(
                f"the last of image_sizes must be the model's own, {vision.image_size}, and start before 1;"
                " it is the size that the model will be used with"
            )


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a TOML file, with overrides such as 'training.steps=100' laid over it.

    Raises RecipeError naming the key that is unknown, missing or of a wrong type.
    """
    try:
        table = tomllib.loads(read_text(path))
    except FileNotFoundError as error:
        raise RecipeError(f"no recipe at {str(path)!r}") from error
    except (OSError, ValueError) as error:
        raise RecipeError(f"{str(path)!r} cannot be read as TOML: {error}") from error
    for override in overrides:
        _apply_override(table, override)
    return read_record(Recipe, table, path.name, TOWER_KINDS)


def recipe_table(recipe: Recipe) -> dict[str, Any]:
    table: dict[str, Any] = write_record(recipe, TOWER_KINDS)
    return table


def _apply_override(table: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    *parents, last = name.strip().split(".")
    if not equals or not last:
        raise RecipeError(f"override {override!r} must look like training.steps=100")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise RecipeError(f"override {override!r}: {parent!r} is no table")
    try:
        table[last] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        table[last] = text.strip()  # a bare word is a string
