from __future__ import annotations

import pytest

from clipwright.errors import QueryError
from clipwright.index.filters import moment, surroundings


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970", 0),
        ("1970-02", 31 * 86400),
        ("1970-01-02", 86400),
        ("1970-01-01T01:30", 5400),
        ("1970-01-01 01:30:05", 5405),
        ("1969-12-31", -86400),
        (" 2024-02-29 ", 1_709_164_800),
    ],
)
def test_a_date_is_its_first_moment_on_the_cameras_clock(text: str, seconds: float) -> None:
    assert moment(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2024-13", "2023-02-29", "24", "2024-1-1", "0000", "2024-01-01T25:00", "2024-01-01Z", "2024-99"],
)
def test_what_is_no_date_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(QueryError, match="2024-05-31T13:30"):
        moment(text)


def test_a_place_is_three_numbers() -> None:
    assert surroundings("48.21, 16.37,5") == (48.21, 16.37, 5.0)
    assert surroundings("-90,180,0.1") == (-90.0, 180.0, 0.1)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Vienna", "is not LATITUDE,LONGITUDE,KILOMETRES"),
        ("48,16", "is not LATITUDE,LONGITUDE,KILOMETRES"),
        ("48,16,5,1", "is not LATITUDE,LONGITUDE,KILOMETRES"),
        ("91,0,5", "latitudes go from -90 to 90"),
        ("0,-181,5", "latitudes go from -90 to 90"),
        ("nan,0,5", "latitudes go from -90 to 90"),
        ("48,16,0", "hold nothing"),
        ("48,16,-1", "hold nothing"),
        ("48,16,nan", "hold nothing"),
        ("48,16,inf", "hold nothing"),
    ],
)
def test_what_is_no_place_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(QueryError, match=complaint):
        surroundings(text)
