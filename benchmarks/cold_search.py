"""How long does a search take from the start of its process to its last line, beside rclip's?

Both have a text tower of ViT-B/32's size with random weights, and 100,000 made-up photographs; ours is also asked over
1,000,000. Processes take turns, files are in the page cache, and the first run of each, which makes derived files, is
not counted. rclip is 3.3.0, in an environment of its own, with a data folder that holds its models.
Run: python benchmarks/cold_search.py --rclip BIN/rclip --rclip-data FOLDER [--collections FOLDER] [--rounds 9]
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from clipwright.checkpoints.save import save_checkpoint
from clipwright.embedding.load import load_embedder
from clipwright.model.openai import OPENAI_CONFIGS
from clipwright.tasks.background import BACKGROUND_CAPTIONS
from machine import describe
from made_up_collection import Distribution, make_collection
from starting import random_model

FEW, MANY = 100_000, 1_000_000
QUERY = "two dogs on a beach"
TOP = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rclip", type=Path, help="rclip's command; without it, only ours is measured")
    parser.add_argument("--rclip-data", type=Path, help="a data folder that holds rclip's models")
    parser.add_argument("--collections", type=Path, help="where made-up collections and the model are kept")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--without-a-million", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        kept = options.collections or Path(scratch)
        os.environ["CLIPWRIGHT_HOME"] = str(Path(scratch) / "home")
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # installed packages have their modules compiled
        commands = our_commands(kept, [FEW] if options.without_a_million else [FEW, MANY])
        if options.rclip:
            photographs = Path(scratch) / "photographs"
            photographs.mkdir()
            data = rclip_data(Path(scratch) / "rclip", options.rclip_data, photographs)
            commands["rclip, 100,000"] = (
                [options.rclip, "--no-indexing", "--filepath-only", "--top", str(TOP), QUERY],
                {"RCLIP_DATADIR": str(data)},
                photographs,
            )
        commands["a yardstick: Python importing numpy"] = ([sys.executable, "-c", "import numpy"], {}, kept)
        report(measure(commands, options.rounds))


Command = tuple[list[str | Path], dict[str, str], Path]
"""Arguments, what is added to the environment, and the folder that it runs in."""


def our_commands(kept: Path, sizes: list[int]) -> dict[str, Command]:
    model = kept / "vit-b-32"
    if not model.exists():
        save_checkpoint(random_model(OPENAI_CONFIGS["ViT-B/32"]), model, "huggingface")
    embedder = load_embedder(model)
    background = embedder.embed_texts(BACKGROUND_CAPTIONS)
    commands: dict[str, Command] = {}
    for size in sizes:
        database = make_collection(kept / str(size), size, embedder.space_id, str(model.absolute()), background)
        clipwright = Path(sys.executable).with_name("clipwright")
        search: list[str | Path] = [clipwright, "search", QUERY, "--index", database, "--top", str(TOP)]
        commands[f"clipwright, {size:,}"] = (search, {}, kept)
    return commands


def rclip_data(folder: Path, models: Path, photographs: Path) -> Path:
    """A data folder of rclip's with these models and 100,000 rows of photographs in a folder."""
    folder.mkdir()
    for path in models.iterdir():
        if not path.name.startswith("db.sqlite3"):
            (folder / path.name).symlink_to(path)
    with sqlite3.connect(models / "db.sqlite3") as old, sqlite3.connect(folder / "db.sqlite3") as database:
        old.backup(database)
        database.execute("DELETE FROM images")
        vectors = Distribution().pictures(FEW).astype(np.float32)
        database.executemany(
            "INSERT INTO images (filepath, modified_at, size, vector) VALUES (?, 0, 1, ?)",
            ((str(photographs / f"{number:06}.jpg"), vector.tobytes()) for number, vector in enumerate(vectors)),
        )
    return folder


def measure(commands: dict[str, Command], rounds: int) -> dict[str, list[float]]:
    """Wall seconds of each command, which take turns, after one that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, (arguments, environment, folder) in commands.items():
            begun = time.perf_counter()
            done = subprocess.run(
                arguments, env={**os.environ, **environment}, cwd=folder, capture_output=True, text=True, check=True
            )
            if number:
                seconds[name].append(time.perf_counter() - begun)
            assert "yardstick" in name or len(done.stdout.splitlines()) == TOP, done.stdout + done.stderr
    return seconds


def report(seconds: dict[str, list[float]]) -> None:
    print(f"# A search, from the start of its process to its last line\n\n{describe()}\n")
    print("| what | median s | best s |\n|---|---|---|")
    for name, each in seconds.items():
        print(f"| {name} | {statistics.median(each):.2f} | {min(each):.2f} |")
    few, many, theirs = (
        seconds.get(name) for name in (f"clipwright, {FEW:,}", f"clipwright, {MANY:,}", "rclip, 100,000")
    )
    print("\n| ratio, of rounds side by side | asked | median | least | most |\n|---|---|---|---|---|")
    for what, asked, above, below in (
        ("rclip to clipwright, 100,000 each", ">= 3", theirs, few),
        ("clipwright, 1,000,000 to 100,000", "<= 1.7", many, few),
    ):
        if above and below:
            ratios = [a / b for a, b in zip(above, below, strict=True)]
            print(f"| {what} | {asked} | {statistics.median(ratios):.2f} | {min(ratios):.2f} | {max(ratios):.2f} |")


if __name__ == "__main__":
    main()
