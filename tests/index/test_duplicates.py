from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from clipwright.index.duplicates import DuplicateGroup, duplicate_groups
from tests.index.collections_of_photos import Scenes, Shot, columns, groups, vectors_of


@pytest.fixture
def scenes() -> Scenes:
    return Scenes()


def changed(shot: Shot, **changes: object) -> Shot:
    return dataclasses.replace(shot, **changes)  # type: ignore[arg-type]


def test_a_collection_of_different_photographs_has_no_groups() -> None:
    assert groups([]) == []


def test_an_empty_collection_has_no_groups() -> None:
    assert list(duplicate_groups(columns([]), lambda rows: np.zeros((len(rows), 4), np.float32))) == []


def test_the_same_file_twice_is_the_same_file_and_nothing_else(scenes: Scenes) -> None:
    shot = changed(scenes.shot(), content=7)
    assert groups([shot, shot, shot]) == [DuplicateGroup("same file", (1, 2, 3))]


def test_a_smaller_copy_is_the_same_picture_and_comes_second(scenes: Scenes) -> None:
    shot = scenes.shot()
    copy = changed(scenes.near(shot, 2), size=(1000, 750))
    assert groups([copy, shot]) == [DuplicateGroup("same picture", (2, 1))]


def test_of_equal_sizes_the_oldest_is_best_and_one_without_a_date_comes_last(scenes: Scenes) -> None:
    shot = scenes.shot()
    burst = [changed(scenes.near(shot, 4), taken=taken) for taken in (12.0, None, 10.0)]
    assert groups(burst, ("similar shot",))[0].photos[0] == 3


def test_same_files_count_as_one_for_the_other_kinds(scenes: Scenes) -> None:
    shot = changed(scenes.shot(), content=7)
    copy = changed(scenes.near(shot, 2), size=(1000, 750), content=8)
    found = groups([shot, shot, copy, copy])
    assert [(group.kind, group.photos) for group in found] == [
        ("same file", (1, 2)),
        ("same file", (3, 4)),
        ("same picture", (1, 3)),
    ]


def test_shots_seconds_apart_are_similar_shots_and_not_the_same_picture(scenes: Scenes) -> None:
    shot = changed(scenes.shot(), taken=100.0, camera=0)
    burst = [shot, *(changed(scenes.near(shot, bits), taken=100.0 + bits) for bits in (2, 5, 9))]
    assert groups(burst) == [DuplicateGroup("similar shot", (1, 2, 3, 4))]


@pytest.mark.parametrize("difference", [{"taken": 4000.0}, {"camera": 1}])
def test_another_time_or_camera_is_another_shot(scenes: Scenes, difference: dict[str, float]) -> None:
    shot = changed(scenes.shot(), taken=100.0, camera=0)
    assert groups([shot, changed(scenes.near(shot, 5), **difference)]) == []


def test_shots_of_one_second_and_one_size_are_the_same_picture_only_if_hardly_anything_differs(scenes: Scenes) -> None:
    shot = changed(scenes.shot(), taken=100.0)
    assert groups([shot, scenes.near(shot, 3)])[0].kind == "same picture"
    assert groups([shot, scenes.near(shot, 6)])[0].kind == "similar shot"
    assert groups([shot, changed(scenes.near(shot, 6), size=(400, 300))])[0].kind == "same picture"


def test_a_date_without_a_camera_makes_no_burst_of_pictures_that_are_not_near(scenes: Scenes) -> None:
    scan = changed(scenes.shot(), taken=0.0)
    assert groups([scan, scenes.near(scan, 19)]) == []
    assert groups([changed(scan, camera=0), changed(scenes.near(scan, 19), camera=0)])[0].kind == "similar shot"


def test_a_large_copy_without_a_date_does_not_make_one_picture_of_a_burst(scenes: Scenes) -> None:
    first = changed(scenes.shot(), taken=100.0)
    second = changed(scenes.near(first, 4), taken=101.0)
    copy = changed(scenes.near(second, 1, moved=0.01), taken=None, size=(8000, 6000))
    assert groups([first, second, copy]) == [
        DuplicateGroup("same picture", (3, 2)),
        DuplicateGroup("similar shot", (3, 1)),
    ]


def test_near_hashes_of_pictures_with_unlike_vectors_mean_nothing(scenes: Scenes) -> None:
    shot, other = scenes.shot(), scenes.shot()
    assert groups([shot, changed(other, look=scenes.near(shot, 2).look)]) == []


def test_like_vectors_of_pictures_with_unlike_hashes_mean_nothing(scenes: Scenes) -> None:
    shot, other = scenes.shot(), scenes.shot()
    assert groups([shot, changed(other, vector=scenes.near(shot, 0).vector)]) == []


def test_flat_pictures_are_not_the_same_picture_however_near_their_hashes(scenes: Scenes) -> None:
    sky = changed(scenes.shot(), look=0)
    assert groups([sky, scenes.near(sky, 0), scenes.near(sky, 3)]) == []


def test_flat_pictures_of_one_moment_are_similar_shots_by_their_vectors(scenes: Scenes) -> None:
    sky = changed(scenes.shot(), look=0, taken=50.0, camera=0)
    assert groups([sky, scenes.near(sky, 0)]) == [DuplicateGroup("similar shot", (1, 2))]
    assert groups([sky, changed(scenes.shot(), look=0, taken=50.0, camera=0)]) == []


def test_pictures_of_another_shape_are_not_the_same(scenes: Scenes) -> None:
    shot = changed(scenes.shot(), size=(60_000, 1000))
    assert groups([shot, changed(scenes.near(shot, 1), size=(1000, 60_000))], ("same picture",)) == []


def test_a_chain_of_near_pictures_does_not_join_its_ends(scenes: Scenes) -> None:
    links = [scenes.shot()]
    for _ in range(2):
        links.append(scenes.near(links[-1], 6, moved=0.2))
    apart = (links[0].look ^ links[2].look).bit_count()
    assert apart > 10
    found = groups([changed(link, size=(4000 - place, 3000)) for place, link in enumerate(links)], ("same picture",))
    assert [group.photos for group in found] == [(1, 2)]


def test_a_long_burst_whose_content_drifts_falls_into_groups_that_stay_near_their_best_shot(scenes: Scenes) -> None:
    shots = [changed(scenes.shot(), taken=0.0, camera=0)]
    for place in range(1, 300):
        shots.append(changed(scenes.near(shots[-1], 1, moved=0.05), taken=place / 5))
    found = groups(shots)
    assert {group.kind for group in found} <= {"similar shot", "same picture"}
    similar = [group.photos for group in found if group.kind == "similar shot"]
    assert sum(map(len, similar)) > 250
    for photos in similar:
        best = shots[photos[0] - 1]
        assert max((best.look ^ shots[other - 1].look).bit_count() for other in photos) <= 20
        assert max(abs((shots[other - 1].taken or 0) - (best.taken or 0)) for other in photos) <= 30


def test_nobody_is_in_two_groups_of_a_kind_and_nobody_alone_in_one(scenes: Scenes) -> None:
    shots = [scenes.shot() for _ in range(100)]
    shots += [scenes.near(shots[place % 40], place % 14, moved=0.1) for place in range(300)]
    found = groups(shots)
    assert len(found) >= 30
    for kind in ("same file", "same picture", "similar shot"):
        members = [photo for group in found if group.kind == kind for photo in group.photos]
        assert len(members) == len(set(members))
    assert all(len(group.photos) > 1 for group in found)


def test_the_order_of_the_rows_changes_nothing(scenes: Scenes) -> None:
    shots = [scenes.shot() for _ in range(150)]
    shots += [scenes.near(shots[place % 20], place % 9) for place in range(100)]
    photos, vectors = columns(shots), vectors_of(shots)
    turned = np.random.default_rng(1).permutation(len(shots))
    found = list(duplicate_groups(photos, lambda rows: vectors[rows]))
    assert found
    assert found == list(duplicate_groups(photos.take(turned), lambda rows: vectors[turned[rows]]))


def test_only_the_kinds_asked_for_are_given_and_they_do_not_depend_on_the_others(scenes: Scenes) -> None:
    shot = changed(scenes.shot(), taken=100.0, content=5)
    shots = [
        shot,
        shot,
        changed(scenes.near(shot, 2), content=6),
        changed(scenes.near(shot, 6), taken=103.0, content=9),
    ]
    found = groups(shots)
    assert [group.kind for group in found] == ["same file", "same picture", "similar shot"]
    for group in found:
        assert groups(shots, (group.kind,)) == [group]


def test_the_largest_group_comes_first_and_of_equal_ones_the_oldest(scenes: Scenes) -> None:
    late, early, large = (changed(scenes.shot(), taken=taken) for taken in (900.0, 100.0, 500.0))
    shots = [
        late,
        scenes.near(late, 1),
        early,
        scenes.near(early, 1),
        large,
        *(scenes.near(large, 1) for _ in range(2)),
    ]
    assert [group.photos[0] for group in groups(shots)] == [5, 3, 1]


def test_without_vectors_copies_and_dated_bursts_are_still_found(scenes: Scenes) -> None:
    shot, burst = scenes.shot(), changed(scenes.shot(), taken=10.0, camera=0)
    shots = [shot, scenes.near(shot, 3), scenes.near(shot, 8), burst, changed(scenes.near(burst, 12), taken=12.0)]
    assert list(duplicate_groups(columns(shots))) == [
        DuplicateGroup("same picture", (1, 2)),
        DuplicateGroup("similar shot", (4, 5)),
    ]


def test_a_photograph_that_has_no_vector_yet_is_judged_by_its_hash(scenes: Scenes) -> None:
    shot = scenes.shot()
    unembedded = changed(scenes.near(shot, 3), vector=np.zeros_like(shot.vector))
    assert groups([shot, unembedded]) == [DuplicateGroup("same picture", (1, 2))]
    assert groups([shot, changed(unembedded, look=scenes.near(shot, 6).look)]) == []


def test_a_handful_of_photographs_is_judged_by_hashes_alone(scenes: Scenes) -> None:
    shots = [shot := scenes.shot(), scenes.near(shot, 2), scenes.shot()]
    vectors = vectors_of(shots)
    assert list(duplicate_groups(columns(shots), lambda rows: vectors[rows])) == [
        DuplicateGroup("same picture", (1, 2))
    ]


def test_thousands_of_like_pictures_are_all_found(scenes: Scenes) -> None:
    shot = scenes.shot()
    found = groups([scenes.near(shot, 1, moved=0.02) for _ in range(1000)])
    assert [(group.kind, len(group.photos)) for group in found] == [("same picture", 1000)]


def test_every_pair_that_differs_in_three_bits_is_found(scenes: Scenes) -> None:
    shots = [scenes.shot() for _ in range(2000)]
    shots += [scenes.near(shot, 3) for shot in shots]
    found = {group.photos for group in groups(shots)}
    assert {(place, place + 2000) for place in range(1, 2001)} <= found
