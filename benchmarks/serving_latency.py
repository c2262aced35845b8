"""How long does a text wait when a server is half busy?

Requests come at distances that are drawn from the exponential distribution, whatever the answers do (an open loop), and
a latency counts from the moment when its request was due. Unloaded: at a twentieth of the rate that one client reaches
by asking again and again. Half busy: at half of that client's rate, and at half of what 64 clients get at most, which
is more, since batches are a part of it. All of it in each round; quoted are the medians of the rounds and their ranges.
Run: python benchmarks/serving_latency.py MODEL [MODEL ...] [--precision auto] [--rounds 5] [--seconds 10]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from load_generator import Answers, Load, send
from machine import describe
from running_servers import RunningServer, clipwright_server
from serving_inputs import sentences, text_bodies

CLIENTS = 64
SHARE, UNLOADED = 0.5, 0.05
_WARM_UP = 2.0


@dataclass(frozen=True)
class Measured:
    answers: Answers
    others: float
    """Processor cores that other work on the machine took meanwhile."""


def sent(server: RunningServer, bodies: Sequence[bytes], seconds: float, **how: float | int) -> Measured:
    """Ends the program where a request was refused."""
    load = Load(
        port=server.port,
        path=server.path,
        bodies=bodies,
        seconds=seconds,
        warm_up=_WARM_UP,
        **how,  # type: ignore[arg-type]
    )
    used = server.processor_seconds()
    answers = send(load)
    if not answers.all_good:
        raise SystemExit(f"answers: {answers.statuses}")
    of_server = (server.processor_seconds() - used) / answers.wall_seconds
    return Measured(answers, max(0.0, answers.busy_cores - answers.cores - of_server))


def middle(values: Sequence[float], form: str = "{:.1f}") -> str:
    return f"{form.format(statistics.median(values))} ({form.format(min(values))} to {form.format(max(values))})"


def measure(server: RunningServer, rounds: int, seconds: float) -> None:
    """Prints its rows of the table."""
    seeds = itertools.count()

    def bodies() -> list[bytes]:
        return text_bodies(server.model, sentences(20_000, next(seeds)))

    rows: dict[str, list[Measured]] = {}
    for number in range(rounds):
        one = sent(server, bodies(), seconds, clients=1)
        full = sent(server, bodies(), seconds, clients=CLIENTS)
        rows.setdefault("one client, again and again", []).append(one)
        rows.setdefault(f"{CLIENTS} clients, again and again", []).append(full)
        for name, rate in (
            ("unloaded", UNLOADED * one.answers.rate),
            ("half of one client's rate", SHARE * one.answers.rate),
            (f"half of {CLIENTS} clients' rate", SHARE * full.answers.rate),
        ):
            rows.setdefault(name, []).append(sent(server, bodies(), 2 * seconds, rate=rate, seed=number))
    alone = [measured.answers.percentile(50) for measured in rows["unloaded"]]
    for name, found in rows.items():
        answers = [measured.answers for measured in found]
        tails = [of_round.percentile(99) for of_round in answers]
        late = [1000 * float(np.percentile(of_round.lateness, 99)) for of_round in answers if len(of_round.lateness)]
        cells = (
            middle([of_round.rate for of_round in answers], "{:.0f}"),
            middle([1000 * of_round.percentile(50) for of_round in answers]),
            middle([1000 * tail for tail in tails]),
            middle([tail / median for tail, median in zip(tails, alone, strict=True)], "{:.1f}") + "x",
            middle([of_round.cores for of_round in answers], "{:.2f}"),
            middle([measured.others for measured in found], "{:.2f}"),
            middle(late) if late else "",
        )
        print(f"| {server.name}: {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16", "int8"), default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--port", type=int, default=8601)
    options = parser.parse_args()
    print(f"# Latency of a text on a half busy server\n\n{describe()}")
    print(f"- precision {options.precision}, one sentence a request, none of them twice")
    print(f"- {options.rounds} rounds, {options.seconds:.0f} s each, open loops {2 * options.seconds:.0f} s")
    print("- asked: p99 at half of capacity <= 3x the unloaded median\n")
    print("| | texts/s | p50 ms | p99 ms | p99 / p50 unloaded | clients, cores | other work, cores | ", end="")
    print("sent late, p99 ms |\n|---|---|---|---|---|---|---|---|")
    for model in options.models:
        with clipwright_server(model, options.port, ["--precision", options.precision], name=model) as server:
            measure(server, options.rounds, options.seconds)


if __name__ == "__main__":
    main()
