from __future__ import annotations

import threading

import pytest

from clipwright.server.models.batching import Gathering, remaining_wait


@pytest.mark.parametrize(
    ("ready", "coming", "waited", "expected"),
    [
        (0, 0, 0.0, None),  # nothing to do
        (0, 3, 9.0, None),
        (1, 0, 0.0, 0.0),  # a lone item never waits
        (15, 0, 0.0, 0.0),
        (16, 5, 0.0, 0.0),  # a full batch does not either
        (40, 5, 0.0, 0.0),
        (3, 5, 0.0, 0.005),
        (3, 5, 0.002, 0.003),
        (3, 5, 0.006, 0.0),
    ],
)
def test_a_batch_waits_only_while_others_are_prepared(
    ready: int, coming: int, waited: float, expected: float | None
) -> None:
    wait = remaining_wait(ready, coming, 16, waited, 0.005)
    assert wait == (None if expected is None else pytest.approx(expected))


def gathered(most: int = 4, longest_wait: float = 3600.0) -> Gathering[int, str]:
    return Gathering(most, longest_wait)


def fill(gathering: Gathering[int, str], *keys: int) -> None:
    for key in keys:
        gathering.expect(key)
        gathering.add(key, str(key))


def test_items_are_taken_in_the_order_in_which_they_were_ready() -> None:
    gathering = gathered()
    for key in (1, 2, 3):
        gathering.expect(key)
    for key in (3, 1, 2):
        gathering.add(key, str(key))
    assert gathering.take() == [(3, "3"), (1, "1"), (2, "2")]


def test_what_gathered_beyond_a_full_batch_is_the_next_one() -> None:
    gathering = gathered()
    fill(gathering, *range(6))
    assert [len(gathering.take()), len(gathering.take())] == [4, 2]


def test_a_withdrawn_item_is_in_no_batch() -> None:
    gathering = gathered()
    fill(gathering, 1, 2)
    gathering.expect(3)
    assert gathering.withdraw(1)
    assert gathering.withdraw(3)
    assert not gathering.withdraw(9)
    assert not gathering.add(3, "prepared in vain")
    assert gathering.take() == [(2, "2")]


def test_an_item_that_was_taken_can_no_longer_be_withdrawn() -> None:
    gathering = gathered()
    fill(gathering, 1)
    gathering.take()
    assert not gathering.withdraw(1)


@pytest.mark.parametrize("event", ["ready", "withdrawn", "full"])
def test_a_batch_begins_as_soon_as_there_is_nothing_to_wait_for(event: str) -> None:
    gathering = gathered(most=2)
    fill(gathering, 1)
    gathering.expect(2)
    batches: list[list[tuple[int, str]]] = []
    taking = threading.Thread(target=lambda: batches.append(gathering.take()))
    taking.start()  # it waits for an hour, but for what comes now
    if event == "ready":
        gathering.add(2, "2")
    elif event == "withdrawn":
        gathering.withdraw(2)
    else:
        fill(gathering, 3)
    taking.join()
    assert batches[0][0] == (1, "1")
    assert len(batches[0]) == (1 if event == "withdrawn" else 2)


def test_a_batch_waits_no_longer_than_it_may() -> None:
    gathering = gathered(longest_wait=0.01)
    fill(gathering, 1)
    gathering.expect(2)
    assert gathering.take() == [(1, "1")]
