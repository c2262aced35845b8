"""How much of the model's speed is left when pictures come one by one over HTTP, and what does batching gain?

One server takes batches of up to 16, one runs pictures one at a time; 64 clients each send a 224 px JPEG again and
again. Beside them a process without a server embeds the same pictures as `clipwright embed` does, and runs the image
tower alone on batches of 16 and of 1. All take turns, round after round; while one is measured the others sleep.
Quoted are the medians of the rounds, and of ratios the median of the rounds' and that of the fastest rounds, which
other work on the machine disturbs least.
Run: python benchmarks/serving_throughput.py MODEL [--precision fp32] [--rounds 7] [--seconds 9]
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from clipwright.embedding.embedder import Embedder
from clipwright.embedding.load import PrecisionChoice, load_embedder
from load_generator import Answers, Load, send
from machine import describe
from running_servers import RunningServer, clipwright_server
from serving_inputs import jpegs, picture_bodies

BATCH = 16
CLIENTS = 64
PICTURES = 256
_WARM_UP = 2.0


class Direct:
    """The model in a process of its own, without a server."""

    embedder: Embedder

    @classmethod
    def open(cls, model: str, precision: PrecisionChoice) -> str:
        """Opens it in this process, and says what it computes with."""
        cls.embedder = load_embedder(model, pixels="fast", precision=precision)
        return f"{cls.embedder.backend}, {cls.embedder.variant}"

    @classmethod
    def pictures_per_second(cls, pictures: Sequence[bytes], seconds: float) -> float:
        """From JPEGs to vectors, in batches of 16, decoding ahead on threads."""
        done, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            done += len(list(cls.embedder.stream_images(pictures, BATCH)))
        return done / (time.perf_counter() - begun)

    @classmethod
    def tower_per_second(cls, batch: int, seconds: float) -> float:
        """From pixels to features."""
        side = cls.embedder.spec.image_size
        pixels = np.random.default_rng(0).standard_normal((batch, 3, side, side), np.float32)
        cls.embedder.image_features(pixels)
        done, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            cls.embedder.image_features(pixels)
            done += batch
        return done / (time.perf_counter() - begun)


def served(server: RunningServer, bodies: Sequence[bytes], seconds: float) -> Answers:
    """At 64 clients. Ends the program where a request was refused."""
    load = Load(port=server.port, path=server.path, bodies=bodies, clients=CLIENTS, seconds=seconds, warm_up=_WARM_UP)
    answers = send(load)
    if not answers.all_good:
        raise SystemExit(f"{server.name} answered {answers.statuses}")
    return answers


def row(what: str, values: Sequence[float], unit: str) -> None:
    middle, low, high = statistics.median(values), min(values), max(values)
    print(f"| {what} | {middle:,.3g} {unit} | {low:,.3g} to {high:,.3g} |", flush=True)


def ratio(what: str, asked: str, above: Sequence[float], below: Sequence[float]) -> None:
    median = statistics.median(a / b for a, b in zip(above, below, strict=True))
    print(f"| {what} | {asked} | {median:.0%} | {max(above) / max(below):.0%} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16", "int8"), default="fp32")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=9.0, help="of each server in each round")
    parser.add_argument("--port", type=int, default=8601)
    options = parser.parse_args()
    pictures = jpegs(PICTURES)
    shared = ["--precision", options.precision]
    batched = clipwright_server(options.model, options.port, [*shared, "--batch-size", str(BATCH)])
    single = clipwright_server(options.model, options.port + 1, [*shared, "--batch-size", "1"])
    apart = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
    with apart, batched as in_batches, single as one_by_one:
        bodies = picture_bodies(in_batches.model, pictures)
        runs_on = apart.submit(Direct.open, options.model, options.precision).result()
        print(f"# Serving pictures against the model alone\n\n{describe()}")
        print(f"- {options.model} ({runs_on}); {CLIENTS} clients, one 224 px JPEG a request, base64 in JSON")
        print(
            f"- {options.rounds} rounds in turns, {options.seconds:.0f} s a server of which {_WARM_UP:.0f} not counted"
        )
        figures: dict[str, list[float]] = {}
        for _ in range(options.rounds):
            turn = {
                "embed": apart.submit(Direct.pictures_per_second, pictures, options.seconds / 2).result(),
                "tower": apart.submit(Direct.tower_per_second, BATCH, options.seconds / 4).result(),
                "tower, one": apart.submit(Direct.tower_per_second, 1, options.seconds / 4).result(),
            }
            for name, server in (("served", in_batches), ("served, one", one_by_one)):
                used = server.processor_seconds()
                answers = served(server, bodies, options.seconds)
                turn[name] = answers.rate
                turn[f"{name}, cores"] = cores = (server.processor_seconds() - used) / answers.wall_seconds
                turn[f"{name}, generator"] = answers.cores
                turn[f"{name}, others"] = max(0.0, answers.busy_cores - cores - answers.cores)
                turn[f"{name}, p50"], turn[f"{name}, p99"] = answers.percentile(50), answers.percentile(99)
            for key, value in turn.items():
                figures.setdefault(key, []).append(value)
    print("\n| | median | range |\n|---|---|---|")
    row("tower alone, batches of 16", figures["tower"], "images/s")
    row("tower alone, one at a time", figures["tower, one"], "images/s")
    row("from JPEGs in batches of 16, no server", figures["embed"], "images/s")
    for name, label in (("served", "served, batches of up to 16"), ("served, one", "served, one at a time")):
        row(label, figures[name], "images/s")
        row(f"{label}: p50", figures[f"{name}, p50"], "s")
        row(f"{label}: p99", figures[f"{name}, p99"], "s")
        row(f"{label}: processor time of the server and its worker", figures[f"{name}, cores"], "cores")
        row(f"{label}: processor time of the clients", figures[f"{name}, generator"], "cores")
        row(f"{label}: other work on the machine", figures[f"{name}, others"], "cores")
    print("\n| ratio | asked | median | of the fastest |\n|---|---|---|---|")
    ratio("served / from JPEGs without a server", ">= 85 %", figures["served"], figures["embed"])
    ratio("served / tower alone, both in batches of 16", "", figures["served"], figures["tower"])
    ratio("gain of batching, tower alone", "", figures["tower"], figures["tower, one"])
    ratio("gain of batching, served", "", figures["served"], figures["served, one"])
    gains = [np.array(figures[key]) for key in ("served", "served, one", "tower", "tower, one")]
    median = float(np.median(gains[0] / gains[1] / (gains[2] / gains[3])))
    fastest = (gains[0].max() / gains[1].max()) / (gains[2].max() / gains[3].max())
    print(f"| gain served / gain of the tower | >= 90 % | {median:.0%} | {fastest:.0%} |")


if __name__ == "__main__":
    main()
