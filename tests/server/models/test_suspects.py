from __future__ import annotations

from clipwright.server.models.suspects import Suspects


def test_all_pictures_of_a_dead_worker_are_suspects_until_they_are_tried_alone() -> None:
    suspects = Suspects()
    assert not suspects.is_suspect(b"a")
    suspects.died_with([b"a", b"b"], None)
    assert suspects.is_suspect(b"a")
    assert suspects.is_suspect(b"b")
    suspects.survived(b"a")
    assert not suspects.is_suspect(b"a")
    suspects.died_with([b"b"], None)  # killed by something else while others were there
    assert not suspects.is_guilty(b"b")
    picture = b"b"
    suspects.died_with([picture], picture)
    assert suspects.is_guilty(b"b")
    assert not suspects.is_suspect(b"b")


def test_who_is_guilty_stays_so() -> None:
    suspects = Suspects()
    picture = b"a"
    suspects.died_with([picture], picture)
    suspects.died_with([b"a"], None)
    assert suspects.is_guilty(b"a")


def test_only_so_many_are_remembered() -> None:
    suspects = Suspects()
    for number in range(2_000):
        suspects.died_with([str(number).encode()], None)
    assert not suspects.is_suspect(b"0")
    assert suspects.is_suspect(b"1999")
