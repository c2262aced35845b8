"""What could a server that batches reach at best, when texts come by chance?

A batch of n texts takes FIXED + n * EACH milliseconds (read the two off a model: one text, and 64). Texts come at
distances drawn from the exponential distribution; the model takes all that wait, as soon as it is free. Nothing else
costs anything but OVERHEAD, so no server with this model on this machine has a shorter 99th percentile.
Run: python benchmarks/ideal_batching.py --rate 255 --fixed 5.9 --each 1.75 --overhead 2.4
"""

from __future__ import annotations

import argparse
import random

TEXTS, MOST = 40_000, 64


def latencies(rate: float, fixed: float, each: float) -> list[float]:
    """Milliseconds from arrival to answer, in order of size. rate: texts a second."""
    chance = random.Random(1)
    arrivals, moment = [], 0.0
    for _ in range(TEXTS):
        moment += chance.expovariate(rate / 1000)
        arrivals.append(moment)
    taken, now, waited = 0, 0.0, []
    while taken < TEXTS:
        now = max(now, arrivals[taken])
        end = taken
        while end < TEXTS and end - taken < MOST and arrivals[end] <= now:
            end += 1
        now += fixed + each * (end - taken)
        waited += [now - arrival for arrival in arrivals[taken:end]]
        taken = end
    return sorted(waited)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, meaning in (
        ("rate", "texts a second"),
        ("fixed", "ms of a batch"),
        ("each", "ms of a text"),
        ("overhead", "ms"),
    ):
        parser.add_argument(f"--{name}", type=float, required=True, help=meaning)
    options = parser.parse_args()
    alone = options.fixed + options.each + options.overhead
    waited = latencies(options.rate, options.fixed, options.each)
    p50, p99 = (waited[int(TEXTS * share)] + options.overhead for share in (0.5, 0.99))
    print(f"alone {alone:.1f} ms; at {options.rate:g}/s p50 {p50:.1f} ms, p99 {p99:.1f} ms: {p99 / alone:.1f}x")


if __name__ == "__main__":
    main()
