"""How long does a text wait for a half busy model when there is no server at all?

Texts come at distances that are drawn from the exponential distribution, in the model's own process; all that wait are
embedded together as soon as the model is free, as a server's worker does it. No HTTP, no pipe, no other process: what a
server adds to this is its own. Rates are given, since capacity is a server's. In turns, several rounds of each.
Run: python benchmarks/batching_without_server.py MODEL --rate 282 --unloaded 6 [--precision auto] [--rounds 3]
"""

from __future__ import annotations

import argparse
import random
import statistics
import threading
import time

import numpy as np

from clipwright.embedding.embedder import Embedder
from clipwright.embedding.load import load_embedder
from clipwright.server.models.batching import Gathering
from clipwright.server.settings import ModelSettings
from machine import describe
from serving_inputs import sentences

_WARM_UP = 2.0


def latencies(embedder: Embedder, texts: list[str], rate: float, seconds: float, seed: int) -> list[float]:
    """Seconds from when each text was due to its vector, after the warm-up."""
    gathering: Gathering[int, tuple[str, float]] = Gathering(ModelSettings().text_batch_size, 0)
    chance = random.Random(seed)
    begun = time.perf_counter()
    moments = [begun]
    while moments[-1] - begun < seconds and len(moments) <= len(texts):
        moments.append(moments[-1] + chance.expovariate(rate))
    due = moments[1:]

    def arrive() -> None:
        for number, moment in enumerate(due):
            time.sleep(max(0.0, moment - time.perf_counter()))
            gathering.expect(number)
            gathering.add(number, (texts[number], moment))

    arriving = threading.Thread(target=arrive)
    arriving.start()
    waited: list[float] = []
    left = len(due)
    while left:
        batch = [item for _, item in gathering.take()]
        embedder.embed_tokens(embedder.tokenize([text for text, _ in batch]))
        now = time.perf_counter()
        waited += [now - moment for _, moment in batch if moment - begun > _WARM_UP]
        left -= len(batch)
    arriving.join()
    return waited


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--rate", type=float, required=True, help="texts a second of a half busy server")
    parser.add_argument("--unloaded", type=float, required=True, help="texts a second of an idle one")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16", "int8"), default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    embedder = load_embedder(options.model, precision=options.precision)
    print(f"# A half busy model without a server\n\n{describe()}\n- precision {options.precision}\n")
    print("| texts/s | p50 ms | p99 ms |\n|---|---|---|")
    latencies(embedder, sentences(10_000, 1_000), options.rate, options.seconds, 1_000)  # code for new shapes is made
    medians: list[float] = []
    tails: list[float] = []
    for number in range(options.rounds):
        for rate in (options.unloaded, options.rate):
            texts = sentences(int(2 * rate * options.seconds) + 100, 2 * number + (rate == options.rate))
            found = latencies(embedder, texts, rate, options.seconds, number)
            p50, p99 = (1000 * float(np.percentile(found, share)) for share in (50, 99))
            (medians if rate == options.unloaded else tails).append(p50 if rate == options.unloaded else p99)
            print(f"| {rate:g} | {p50:.1f} | {p99:.1f} |", flush=True)
    ratio = statistics.median(tails) / statistics.median(medians)
    print(f"\np99 at {options.rate:g}/s / median at {options.unloaded:g}/s: {ratio:.1f}x, medians of the rounds")


if __name__ == "__main__":
    main()
