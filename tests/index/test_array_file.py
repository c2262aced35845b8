"""Files of arrays: what was written is read, and damage is noticed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clipwright.index.array_file import ArrayFile, ArrayFileWriter, DamagedArraysError

SMALL = np.arange(7, dtype=np.int32)
LARGE = np.arange(600_000, dtype=np.float32).reshape(-1, 3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "arrays"
    with ArrayFileWriter(path) as writer:
        writer.begin("large", "<f4", (3,))
        for start in range(0, len(LARGE), 70_000):
            writer.append(LARGE[start : start + 70_000])
        writer.add({"small": SMALL, "none": np.empty((0, 2)), "names": np.array([b"a", b"bcd"])})
        writer.finish({"serial": 3})
    return path


def test_arrays_come_back_as_they_were(path: Path) -> None:
    opened = ArrayFile.open(path)
    opened.check()
    assert opened.facts == {"serial": 3}
    assert np.array_equal(opened.arrays["large"], LARGE)
    assert np.array_equal(opened.arrays["small"], SMALL)
    assert opened.arrays["none"].shape == (0, 2)
    assert opened.arrays["names"].tolist() == [b"a", b"bcd"]


def test_a_file_that_was_cut_is_noticed_wherever_it_was_cut(path: Path) -> None:
    whole = path.read_bytes()
    for length in (0, 5, 23, 24, 1000, len(whole) // 2, len(whole) - 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedArraysError):
            ArrayFile.open(path)


def test_bytes_that_are_missing_in_the_middle_are_noticed(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + whole[8192:])
    with pytest.raises(DamagedArraysError):
        ArrayFile.open(path)


def test_a_flipped_bit_in_what_is_small_is_noticed_when_a_file_is_opened(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    small = whole.index(SMALL.tobytes())
    for place in (small + 4, len(whole) - 200, len(whole) - 20, len(whole) - 1):
        flipped = bytearray(whole)
        flipped[place] ^= 4
        path.write_bytes(flipped)
        with pytest.raises(DamagedArraysError):
            ArrayFile.open(path)


def test_a_flipped_bit_in_what_is_large_is_noticed_when_everything_is_checked(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[1_000_000] ^= 1
    path.write_bytes(whole)
    opened = ArrayFile.open(path)
    with pytest.raises(DamagedArraysError, match="large"):
        opened.check()


def test_a_file_that_was_not_finished_is_none(tmp_path: Path) -> None:
    with ArrayFileWriter(tmp_path / "arrays") as writer:
        writer.add({"small": SMALL})
    with pytest.raises(DamagedArraysError):
        ArrayFile.open(tmp_path / "arrays")
