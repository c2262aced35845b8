"""What a collection can be narrowed down by."""

from __future__ import annotations

import datetime
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipwright.index.columns import points
from clipwright.index.facets import MOST_PLACES, Camera, Place, Year, facets_of, places
from clipwright.index.filters import Filters
from clipwright.index.vector_table import VectorTable
from tests.index.collection import SPACE_ID, Collection

BERLIN, POTSDAM, SYDNEY, FIJI = (52.52, 13.405), (52.4, 13.065), (-33.87, 151.2), (-17.8, 179.998)


def moment(*parts: int) -> float:
    return datetime.datetime(*parts, tzinfo=datetime.UTC).timestamp()  # type: ignore[misc,arg-type]


def places_of(*where: tuple[float, float]) -> tuple[Place, ...]:
    """Of photographs with ids from 1 on."""
    latitude, longitude = np.array(where, np.float64).reshape(-1, 2).T
    return places(np.arange(1, len(where) + 1), points(latitude, longitude))


def scattered(around: tuple[float, float], count: int, kilometres: float, seed: int = 0) -> list[tuple[float, float]]:
    random = np.random.default_rng(seed)
    degrees = kilometres / 111.2
    north, east = random.uniform(-degrees, degrees, (2, count)) / math.sqrt(2)
    return [
        (around[0] + n, around[1] + e / math.cos(math.radians(around[0]))) for n, e in zip(north, east, strict=True)
    ]


def kilometres(place: Place, where: tuple[float, float]) -> float:
    """From its centre, on the sphere."""
    ends = points(np.array([where[0], place.latitude]), np.array([where[1], place.longitude]))
    return 2 * math.asin(min(float(np.linalg.norm(ends[0] - ends[1])) / 2, 1)) * 6371.0088


def test_cameras_and_years_are_counted(tmp_path: Path) -> None:
    collection = Collection(tmp_path)
    facts = [
        {"camera": "Canon", "taken": moment(2019, 12, 31, 23, 59)},
        {"camera": "Nikon", "taken": moment(2020, 1, 1)},
        {"camera": "Canon", "taken": moment(1969, 7, 20)},
        {},
    ]
    collection.add(4, facts)
    facets = facets_of(VectorTable.open(collection.database, SPACE_ID))
    assert facets.cameras == (Camera("Canon", 2), Camera("Nikon", 1))
    assert facets.years == (Year(2020, 1), Year(2019, 1), Year(1969, 1))
    assert facets.places == ()


def test_an_empty_collection_has_no_facets(tmp_path: Path) -> None:
    facets = facets_of(VectorTable.open(Collection(tmp_path).database, SPACE_ID))
    assert (facets.cameras, facets.years, facets.places) == ((), (), ())


def test_removed_photographs_are_not_counted_nor_others_counted_twice(tmp_path: Path) -> None:
    collection = Collection(tmp_path)
    ids = collection.add(3, [{"camera": "Canon"}, {"camera": "Nikon"}, {"camera": "Canon"}])
    collection.remove(ids[:1])
    collection.replace(ids[1:2])
    facets = facets_of(VectorTable.open(collection.database, SPACE_ID))
    assert facets.cameras == (Camera("Canon", 1), Camera("Nikon", 1))


def test_a_filter_by_a_place_finds_its_photographs(tmp_path: Path) -> None:
    collection = Collection(tmp_path)
    where = [*scattered(BERLIN, 40, 6), *scattered(SYDNEY, 20, 30, seed=1)]
    collection.add(60, [{"latitude": north, "longitude": east} for north, east in where])
    table = VectorTable.open(collection.database, SPACE_ID)
    found = facets_of(table).places
    assert sum(place.photographs for place in found) >= 0.7 * 60
    for place in found:
        kept = table.matching(Filters(near=(place.latitude, place.longitude, place.kilometres)))
        assert kept is not None
        assert kept.sum() >= place.photographs
        assert place.photo in table.ids[kept]


def test_photographs_of_one_spot_are_one_place() -> None:
    (place,) = places_of(*[BERLIN] * 5)
    assert (place.latitude, place.longitude) == pytest.approx(BERLIN)
    assert place.photographs == 5
    assert place.kilometres >= 1
    assert place.photo in range(1, 6)


def test_who_stays_in_a_town_has_its_quarters_and_who_travels_has_towns() -> None:
    in_town = places_of(*scattered(BERLIN, 3000, 10))
    assert len(in_town) > 10
    assert all(place.kilometres < 15 for place in in_town)
    travelled = [
        where for number in range(40) for where in scattered((-60 + 3 * number, -170 + 8 * number), 50, 20, seed=number)
    ]
    towns = places_of(*travelled)
    assert len(towns) >= 40 * 0.7
    assert all(place.kilometres < 120 for place in towns)


def test_the_date_line_and_the_poles_part_nothing() -> None:
    (fiji,) = places_of(FIJI, (-17.8, -179.998), (-17.8, 180.0))
    assert abs(fiji.longitude) > 179.9
    assert fiji.kilometres < 5
    (pole,) = places_of((90.0, 0.0), (89.999, 90.0), (89.999, -90.0))
    assert pole.latitude > 89.9


@settings(max_examples=60)
@given(st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 180)), max_size=300))
def test_a_place_covers_its_photographs_wherever_they_are(where: list[tuple[float, float]]) -> None:
    found = places_of(*where)
    assert len(found) <= MOST_PLACES
    assert sum(place.photographs for place in found) <= len(where)
    assert len(where) == 0 or len(found) > 0
    for place in found:
        near = [kilometres(place, each) <= place.kilometres for each in where]
        assert sum(near) >= place.photographs
        assert near[place.photo - 1]
        assert -90 <= place.latitude <= 90
        assert -180 <= place.longitude <= 180
