"""How long does a text wait when a server is half busy?

First the latency of one client alone, then the capacity at 64 clients, then requests at half that rate whose distances
are drawn from the exponential distribution, whatever the answers do (an open loop). A latency counts from the moment
when the request was due. All three in each round; quoted are the medians of the rounds and their ranges.
Run: python benchmarks/serving_latency.py MODEL [MODEL ...] [--precision auto] [--rounds 5] [--seconds 10]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Sequence

from load_generator import Answers, Load, send
from machine import describe
from running_servers import RunningServer, clipwright_server
from serving_inputs import sentences, text_bodies

CLIENTS = 64
SHARE = 0.5
_WARM_UP = 2.0


def sent(server: RunningServer, bodies: Sequence[bytes], seconds: float, **how: float | int) -> Answers:
    """Ends the program where a request was refused."""
    load = Load(
        port=server.port,
        path=server.path,
        bodies=bodies,
        seconds=seconds,
        warm_up=_WARM_UP,
        **how,  # type: ignore[arg-type]
    )
    answers = send(load)
    if not answers.all_good:
        raise SystemExit(f"answers: {answers.statuses}")
    return answers


def middle(values: Sequence[float], form: str = "{:.1f}") -> str:
    return f"{form.format(statistics.median(values))} ({form.format(min(values))} to {form.format(max(values))})"


def measure(server: RunningServer, rounds: int, seconds: float) -> None:
    seeds = itertools.count()

    def bodies() -> list[bytes]:
        return text_bodies(server.model, sentences(20_000, next(seeds)))

    alone, capacity, median, tail, share, late, cores, others = [], [], [], [], [], [], [], []
    for number in range(rounds):
        one = sent(server, bodies(), seconds, clients=1)
        alone.append(one.percentile(50) * 1000)
        full = sent(server, bodies(), seconds, clients=CLIENTS)
        capacity.append(full.rate)
        used = server.processor_seconds()
        half = sent(server, bodies(), 2 * seconds, rate=SHARE * full.rate, seed=number)
        median.append(half.percentile(50) * 1000)
        tail.append(half.percentile(99) * 1000)
        share.append(tail[-1] / alone[-1])
        late.append(sorted(half.lateness.tolist())[int(0.99 * len(half.lateness))] * 1000)
        cores.append(half.cores)
        of_server = (server.processor_seconds() - used) / half.wall_seconds
        others.append(max(0.0, half.busy_cores - half.cores - of_server))
    cells = (alone, capacity, median, tail)
    print(f"| {server.name} | {' | '.join(middle(cell) for cell in cells)} | {middle(share, '{:.2f}')}x |", end="")
    print(f" {middle(late)} | {middle(cores, '{:.2f}')} | {middle(others, '{:.2f}')} |", flush=True)


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
    print(f"- {options.rounds} rounds, {options.seconds:.0f} s each, at half capacity {2 * options.seconds:.0f} s")
    print(f"- asked: p99 at {SHARE:.0%} of capacity <= 3x the unloaded median\n")
    print("| model | alone, p50 ms | capacity, 64 clients, texts/s | at half: p50 ms | p99 ms | p99 / alone | ", end="")
    print("sent late, p99 ms | clients, cores | other work, cores |\n|---|---|---|---|---|---|---|---|---|")
    for model in options.models:
        with clipwright_server(model, options.port, ["--precision", options.precision], name=model) as server:
            measure(server, options.rounds, options.seconds)


if __name__ == "__main__":
    main()
