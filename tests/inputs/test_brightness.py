"""Which number is white, and what the others become."""

from __future__ import annotations

import numpy as np
import pytest

from clipwright.inputs import brightness
from clipwright.inputs.brightness import to_8_bits, white_level

RAMP = np.linspace(0, 1, 120_000).reshape(300, 400)


@pytest.mark.parametrize(
    ("dtype", "white"),
    [("u1", 255), ("u2", 65535), (">u2", 65535), ("i1", 127), ("i2", 32767), ("<i2", 32767)],
)
def test_of_16_bits_or_less_the_largest_that_they_hold_is_white(dtype: str, white: int) -> None:
    assert white_level([np.zeros((2, 2), dtype)]) == white
    assert white_level([np.zeros((2, 2), np.uint16)], bits=12) == 4095


@pytest.mark.parametrize(
    ("top", "white"),
    [(0.2, 1), (1, 1), (1.5, 1.5), (200, 255), (255, 255), (300, 300), (65535, 65535), (70_000, 70_000), (1e9, 1e9)],
)
def test_of_floats_the_first_usual_scale_that_holds_them_is_white(top: float, white: float) -> None:
    assert white_level([RAMP * top]) == white


@pytest.mark.parametrize(
    ("dtype", "top", "white"),
    [
        ("u4", 1000, 65535),
        ("u4", 1_000_000, 1_000_000),
        ("u4", 3_000_000_000, 2**32 - 1),
        ("i4", 2_000_000_000, 2**31 - 1),
        ("u8", 2**40, 2**40),
        ("u8", 2**63 + 2**62, 2.0**64 - 1),
    ],
)
def test_of_wide_integers_16_bits_the_whole_range_or_the_largest_is_white(dtype: str, top: int, white: float) -> None:
    assert white_level([(RAMP * top).astype(dtype)]) == white


def test_a_few_values_beyond_all_others_are_not_asked() -> None:
    values = RAMP * 2e6
    values[0, :20] = 1e12
    assert white_level([values]) == pytest.approx(2e6)


@pytest.mark.parametrize("brightest", [1.0001, 1.05, 3, 20, 300, 1e6, np.inf])
@pytest.mark.parametrize("side", [24, 400])
def test_lights_beyond_white_do_not_make_the_rest_dark(side: int, brightest: float) -> None:
    values = RAMP[:side, :side].astype(np.float32)
    values /= values.max()
    values[0, : side // 10] = brightest
    seen = to_8_bits(values, white_level([values]))
    assert seen[1:].mean() == pytest.approx(values[1:].mean() * 255, rel=0.02)


def test_one_channel_decides_with_the_others() -> None:
    assert white_level([RAMP, RAMP, RAMP * 200]) == 255


def test_a_picture_in_which_nothing_is_a_number_has_a_white() -> None:
    assert white_level([np.full((3, 3), np.nan)]) == 1


def test_large_pictures_are_sampled_and_converted_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = to_8_bits(RAMP * 200, 255)
    monkeypatch.setattr(brightness, "_SAMPLES", 100)
    monkeypatch.setattr(brightness, "_AT_ONCE", 1000)
    assert white_level([RAMP * 200]) == 255
    assert np.array_equal(to_8_bits(RAMP * 200, 255), whole)


def test_what_lies_beyond_is_white_or_black_and_what_is_no_number_is_black() -> None:
    values = np.array([[-1, 0, 0.5, 1, 2, np.inf, -np.inf, np.nan]])
    assert to_8_bits(values, 1).tolist() == [[0, 0, 128, 255, 255, 255, 0, 0]]
    assert to_8_bits(values, 1, inverted=True).tolist() == [[255, 255, 128, 0, 0, 0, 255, 0]]
