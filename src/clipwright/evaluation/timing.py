"""Things that are timed against each other: they take turns, so that whatever else the machine does hits all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

_LEAST_CALLS = 2
"""In a turn: in the first one, caches and threads are still the one's before."""


@dataclass
class Timed:
    """Something that is called again and again, and does so many units of work at a time."""

    call: Callable[[], object]
    units: float
    seconds: list[float] = field(default_factory=list)
    """Of the fastest call of each turn."""

    def turn(self, at_least: float) -> None:
        """Calls for at least so many seconds."""
        begun = time.perf_counter()
        taken: list[float] = []
        while len(taken) < _LEAST_CALLS or time.perf_counter() - begun < at_least:
            called = time.perf_counter()
            self.call()
            taken.append(time.perf_counter() - called)
        self.seconds.append(min(taken))

    @property
    def best(self) -> float:
        """Units a second in the fastest call of all: noise only ever slows."""
        return self.units / min(self.seconds)

    @property
    def median(self) -> float:
        """Units a second in the middle one of the turns."""
        return self.units / statistics.median(self.seconds)


def take_turns(
    contenders: Sequence[Timed], rounds: int, seconds: float, progress: Callable[[int, int], None] | None = None
) -> None:
    """Each contender for at least so many seconds, round after round."""
    for number in range(rounds):
        for position, timed in enumerate(contenders):
            timed.turn(seconds)
            if progress is not None:
                progress(number * len(contenders) + position + 1, rounds * len(contenders))
