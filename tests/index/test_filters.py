"""Filters keep the photographs that plain Python would."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipwright.errors import QueryError
from clipwright.index.columns import Columns
from clipwright.index.filters import Filters, parse_moment, parse_near

RADIUS_KM = 6371.0088


def haversine(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Kilometres along the sphere."""
    (phi, theta), (psi, eta) = (tuple(map(math.radians, place)) for place in (one, other))
    half = math.sin((psi - phi) / 2) ** 2 + math.cos(phi) * math.cos(psi) * math.sin((eta - theta) / 2) ** 2
    return 2 * RADIUS_KM * math.asin(math.sqrt(min(1.0, half)))


def columns(*facts: dict[str, Any]) -> Columns:
    nothing = {"taken": None, "camera": None, "lens": None, "latitude": None, "longitude": None, "pixels": 1}
    return Columns.of([(b"/a", *{**nothing, **one}.values()) for one in facts])


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024", datetime(2024, 1, 1, tzinfo=UTC)),
        ("2024-05", datetime(2024, 5, 1, tzinfo=UTC)),
        ("2024-05-17", datetime(2024, 5, 17, tzinfo=UTC)),
        (" 2024-05-17T12:30 ", datetime(2024, 5, 17, 12, 30, tzinfo=UTC)),
        ("1965-02-28", datetime(1965, 2, 28, tzinfo=UTC)),
        ("1500", datetime(1500, 1, 1, tzinfo=UTC)),
        ("2300", datetime(2300, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59", datetime(9999, 12, 31, 23, 59, tzinfo=UTC)),
    ],
)
def test_a_date_is_its_first_second_of_the_cameras_clock(text: str, moment: datetime) -> None:
    assert parse_moment(text) == moment.timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "24",
        "10000",
        "2024-13",
        "2024-02-30",
        "2024-5-1",
        "2024-05-17 12:30",
        "2024-05-17T25:00",
        "0000",
        "２０２４",
    ],
)
def test_what_is_no_date_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(QueryError, match=r"2024-05-17T12:30") as refused:
        parse_moment(text)
    assert repr(text) in str(refused.value)


def test_a_place_is_latitude_longitude_and_kilometres() -> None:
    assert parse_near("48.2, 16.37,25") == (48.2, 16.37, 25.0)
    assert parse_near("-90,180,0.5") == (-90.0, 180.0, 0.5)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Vienna", "is not a place"),
        ("48.2,16.37", "is not a place"),
        ("48.2,16.37,25,1", "is not a place"),
        ("91,0,5", "latitude 91"),
        ("-90.1,0,5", "latitude -90.1"),
        ("nan,0,5", "latitude nan"),
        ("0,181,5", "longitude 181"),
        ("0,inf,5", "longitude inf"),
        ("0,0,0", "distance 0"),
        ("0,0,-3", "distance -3"),
        ("0,0,inf", "distance inf"),
        ("0,0,nan", "distance nan"),
    ],
)
def test_a_place_that_is_none_is_refused_with_its_value(text: str, says: str) -> None:
    with pytest.raises(QueryError, match=says):
        parse_near(text)


latitudes, longitudes = st.floats(-90, 90), st.floats(-180, 180)


@given(st.tuples(latitudes, longitudes), st.tuples(latitudes, longitudes), st.floats(0.001, 25_000))
def test_near_is_the_distance_along_the_sphere(
    centre: tuple[float, float], place: tuple[float, float], km: float
) -> None:
    distance = haversine(centre, place)
    kept = columns({"latitude": place[0], "longitude": place[1]}).matching(Filters(near=(*centre, km)))
    if abs(distance - km) > 1e-6 * max(1.0, km):
        assert kept.tolist() == [distance <= km]


@pytest.mark.parametrize(
    ("centre", "place", "km"),
    [
        ((0, 179.95), (0, -179.95), 11.2),  # across the antimeridian
        ((89.9, 0), (89.9, 180), 22.3),  # across the pole
        ((-90, 12), (-90, -77), 0.001),  # the pole has every longitude
        ((10, -180), (10, 180), 0.001),
    ],
)
def test_near_knows_no_border(centre: tuple[float, float], place: tuple[float, float], km: float) -> None:
    there = columns({"latitude": place[0], "longitude": place[1]})
    assert there.matching(Filters(near=(*centre, km))).all()
    assert not there.matching(Filters(near=(centre[0] * 0.99 - 1e-9 - 0.5, centre[1], km))).any()


def test_what_a_file_does_not_say_is_not_found() -> None:
    silent = columns({})
    for filters in (
        Filters(after=-1e18), Filters(before=1e18), Filters(camera=""), Filters(lens=""), Filters(near=(0, 0, 30_000)),
    ):  # fmt: skip
        assert not silent.matching(filters).any(), filters


def test_all_filters_together_are_as_in_plain_python() -> None:
    generator = np.random.default_rng(3)
    names = [None, "NIKON D90", "Nikon Z 6", "Canon EOS R", "ÉCLAIR"]
    facts: list[dict[str, Any]] = [
        {
            "taken": None if generator.random() < 0.2 else float(generator.integers(0, 100)),
            "camera": names[generator.integers(0, 5)],
            "lens": names[generator.integers(0, 5)],
            "latitude": float(generator.uniform(-90, 90)),
            "longitude": float(generator.uniform(-180, 180)),
            "pixels": int(generator.integers(1, 30_000_000)),
        }
        for _ in range(500)
    ]
    filters = Filters(after=10, before=90, camera="nikon", lens="éclair", near=(40, 170, 9000), min_megapixels=4)
    wanted = [
        one["taken"] is not None and 10 <= one["taken"] < 90
        and "nikon" in (one["camera"] or "").casefold() and "éclair" in (one["lens"] or "").casefold()
        and haversine((40, 170), (one["latitude"], one["longitude"])) <= 9000 and one["pixels"] >= 4e6
        for one in facts
    ]  # fmt: skip
    assert columns(*facts).matching(filters).tolist() == wanted
    assert 0 < sum(wanted) < 100


def test_a_photograph_taken_at_a_moment_is_after_it_and_not_before_it() -> None:
    one = columns({"taken": 5.0})
    assert one.matching(Filters(after=5.0)).all()
    assert not one.matching(Filters(before=5.0)).any()
