"""How fast does training run: does the step wait for its input, and what share of the machine's arithmetic is used?

    python benchmarks/training_speed.py [--recipe recipes/starter-3.toml] [--size 64] [--steps 12] [--rounds 4]

The step on prepared batches and the run end to end take turns in one process; ratios are round by round. Without the
recipe's data it makes pictures of the same size and layout itself.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from clipwright.evaluation.matrix_peak import matrix_peak
from clipwright.inputs.tokenizer import Tokenizer
from clipwright.model.dual_encoder import DualEncoder
from clipwright.training.batches import Batch, BatchMaker
from clipwright.training.beginning import input_spec, learn_tokenizer
from clipwright.training.optimizer import build_optimizer
from clipwright.training.plan import Plan
from clipwright.training.precision import faster, measure_precisions
from clipwright.training.recipe import Recipe, read_recipe
from clipwright.training.sources import Source, open_source
from clipwright.training.step import to_device, train_step
from machine import describe

MADE_PICTURES = 2000


class Trainer:
    """A model and what its steps need."""

    def __init__(self, recipe: Recipe, sources: list[Source]) -> None:
        self.recipe = recipe
        document = learn_tokenizer(recipe, sources)
        self.tokenizer = Tokenizer(document, input_spec(recipe.config, document))
        plan = Plan(sources, recipe.training.batch_size, recipe.training.seed)
        self.batches = BatchMaker(sources, plan, recipe.augment, self.tokenizer)
        self.model = DualEncoder(recipe.config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = build_optimizer(self.model, recipe.training)

    def stream(self, size: int, steps: int) -> Iterator[Batch]:
        return self.batches.stream([size] * steps, 0, self.recipe.training.workers)

    def step(self, batch: Batch) -> None:
        device_batch = to_device(batch, torch.device("cpu"), self.tokenizer.spec)
        train_step(self.model, self.optimizer, device_batch, 1e-4, self.recipe.training)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=Path(__file__).parents[1] / "recipes" / "starter-3.toml")
    parser.add_argument("--size", type=int, default=64, help="side of the pictures, in pixels")
    parser.add_argument("--steps", type=int, default=12, help="steps in a round")
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        recipe = read_recipe(options.recipe)
        if recipe.training.precision == "auto":
            chosen = faster(measure_precisions(recipe.config, recipe.training, torch.device("cpu")))
            recipe = replace(recipe, training=replace(recipe.training, precision=chosen))
        sources, note = open_sources(recipe, options.recipe.parent, Path(folder))
        trainer = Trainer(recipe, sources)
        table = measure(trainer, options.size, options.steps, options.rounds)
    print(f"# Training speed\n\n{describe()}\n- {options.recipe.name}, {options.size} px, {note}\n\n{table}")


def measure(trainer: Trainer, size: int, steps: int, rounds: int) -> str:
    """The table of figures. The first round is a warm-up and not counted."""
    prepared = list(trainer.stream(size, steps))
    samples = steps * trainer.recipe.training.batch_size
    alone, whole = [], []
    for _ in range(rounds + 1):
        begun = time.perf_counter()
        for batch in prepared:
            trainer.step(batch)
        alone.append(samples / (time.perf_counter() - begun))
        begun = time.perf_counter()
        for batch in trainer.stream(size, steps):
            trainer.step(batch)
        whole.append(samples / (time.perf_counter() - begun))
    alone, whole = alone[1:], whole[1:]
    begun = time.perf_counter()
    list(trainer.stream(size, steps))
    input_alone = samples / (time.perf_counter() - begun)
    ratio = statistics.median(b / a for a, b in zip(alone, whole, strict=True))
    flops = flops_of_a_step(trainer, prepared[0]) / trainer.recipe.training.batch_size
    peak = matrix_peak("bf16" if trainer.recipe.training.precision == "bf16" else "fp32")
    rate = peak.operations_per_second
    rows = [
        ("step on prepared batches", f"{statistics.median(alone):.0f} samples/s"),
        ("end to end, decoding and augmenting", f"{statistics.median(whole):.0f} samples/s"),
        ("end to end against the step alone, median of pairs", f"{ratio:.1%}"),
        ("input alone", f"{input_alone:.0f} samples/s"),
        ("arithmetic of a sample, forward and backward", f"{flops / 1e9:.2f} GFLOP"),
        (f"matrix peak of this machine, {peak.precision}", f"{rate / 1e9:.0f} GFLOP/s, by {peak.by}"),
        ("share of the peak that the step reaches", f"{statistics.median(alone) * flops / rate:.1%}"),
    ]
    return "\n".join(["| what | figure |", "|---|---|", *(f"| {name} | {figure} |" for name, figure in rows)])


def flops_of_a_step(trainer: Trainer, batch: Batch) -> int:
    with FlopCounterMode(display=False) as counter:
        trainer.step(batch)
    return int(counter.get_total_flops())


def open_sources(recipe: Recipe, folder: Path, scratch: Path) -> tuple[list[Source], str]:
    """The recipe's sources, or where its data are not unpacked, noise in their place."""
    if all((folder / source.path).exists() for source in recipe.sources):
        return [open_source(source, folder) for source in recipe.sources], "its own data"
    made = scratch / "made.parquet"
    write_noise(made)
    captions = [replace(s, path=str(made), names=None, hold_out=None) for s in recipe.sources]
    return [open_source(source, scratch) for source in captions], f"{MADE_PICTURES} made pictures of 64 px"


def write_noise(path: Path) -> None:
    random = np.random.default_rng(0)
    rows = []
    for _ in range(MADE_PICTURES):
        coarse = Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        out = io.BytesIO()
        coarse.resize((64, 64), Image.Resampling.BICUBIC).save(out, "JPEG", quality=95, subsampling=0)
        rows.append({"bytes": out.getvalue(), "path": ""})
    words = [f"word{i}" for i in range(500)]
    captions = [[" ".join(random.choice(words, int(random.integers(5, 12))))] for _ in rows]
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array(rows, image), "captions": pa.array(captions)}), path)


if __name__ == "__main__":
    main()
