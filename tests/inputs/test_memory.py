"""Threads share a bound on memory: none waits for ever, and what is too large for it waits until it is alone."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from clipwright.inputs.memory import MemoryBound


class Ledger:
    """What is held, as the threads themselves count it."""

    def __init__(self, limit: int) -> None:
        self.bound = MemoryBound(limit)
        self.lock = threading.Lock()
        self.held = 0
        self.most = 0

    def work(self, *claims: int) -> int:
        """Claims one after another, works a little after each, gives all back."""
        with self.bound.scope():
            taken = 0
            for claim in claims:
                self.bound.claim(claim)
                with self.lock:
                    taken += claim
                    self.held += claim
                    self.most = max(self.most, self.held)
                time.sleep(0.001)
            with self.lock:
                self.held -= taken
        return sum(claims)


def test_claims_never_add_up_to_more_than_the_limit() -> None:
    ledger = Ledger(100)
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ledger.work, [40] * 50)) == 2000
    assert ledger.most == 80


def test_a_claim_beyond_the_limit_waits_until_it_is_alone() -> None:
    ledger = Ledger(100)
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ledger.work, [30, 30, 500, 30, 30, 500, 30] * 5)) == 5 * 1150
    assert ledger.most == 500


def test_threads_that_claim_more_while_they_hold_some_do_not_wait_for_each_other() -> None:
    """A file is read before it is known what its picture takes."""
    ledger = Ledger(100)
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: ledger.work(20, 90), range(40)))
    assert done == [110] * 40
    assert ledger.most <= 100 + 110


def test_a_giant_is_not_overtaken_for_ever() -> None:
    bound, stop, got_it = MemoryBound(100), threading.Event(), threading.Event()

    def small() -> None:
        while not stop.is_set():
            with bound.scope():
                bound.claim(40)
                time.sleep(0.002)

    def giant() -> None:
        with bound.scope():
            bound.claim(1000)
            got_it.set()

    threads = [threading.Thread(target=target) for target in (small, small, small, giant)]
    for thread in threads:
        thread.start()
    assert got_it.wait(30)
    stop.set()
    for thread in threads:
        thread.join(30)


def test_a_scope_within_a_scope_gives_back_at_the_end_of_the_outer() -> None:
    bound, first_done, second_done = MemoryBound(100), threading.Event(), threading.Event()

    def other() -> None:
        first_done.wait(30)
        with bound.scope():
            bound.claim(50)
        second_done.set()

    thread = threading.Thread(target=other)
    thread.start()
    with bound.scope():
        with bound.scope():
            bound.claim(80)
        first_done.set()
        assert not second_done.wait(0.05)  # 80 are still held
    assert second_done.wait(30)
    thread.join()


def test_an_error_gives_back_what_was_claimed() -> None:
    bound = MemoryBound(100)

    def fail() -> None:
        with bound.scope():
            bound.claim(90)
            raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            fail()
    ledger = Ledger(100)
    ledger.bound = bound
    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(ledger.work, [60] * 4)) == 240
