"""Groups of photographs of which one would do: the same file, the same picture, a similar shot. Nothing is deleted.

docs/concepts/duplicates.md tells how the kinds are told apart, with measured precision and recall.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from clipwright.index.duplicate_candidates import Pairs, same_bands, same_cells, same_moments
from clipwright.index.likeness import (
    SAME_MOMENT,
    SAME_MOMENT_BITS_ALONE,
    SAME_PICTURE,
    SAME_PICTURE_BITS_ALONE,
    SAME_SCENE,
    WIDEST_BITS,
    EmbeddingScale,
    centred,
    hamming,
    relative_distance,
    says_something,
    within,
)
from clipwright.index.photo_columns import PhotoColumns, Vectors

DuplicateKind = Literal["same file", "same picture", "similar shot"]
DUPLICATE_KINDS: tuple[DuplicateKind, ...] = get_args(DuplicateKind)

SECONDS = 30.0
"""Shots of one burst are no further apart than this from the shot that stands for them."""
ASPECT = 1.12
"""By how much the aspects of two versions of a picture may differ: a tenth of one side may have been cropped away."""
SAMPLE_ROWS = 4096
CHUNK = 4096
"""Pairs that are compared by their vectors at once."""


@dataclass(frozen=True)
class DuplicateGroup:
    """Photographs of which one would do, two or more."""

    kind: DuplicateKind
    photos: tuple[int, ...]
    """Ids, best first: most pixels, then oldest. Every one is near to the first, not only to some other one."""


Edges = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Pairs and how close they are: the better row, the worse row, a number that is larger for closer ones."""
Standing = tuple[np.ndarray, np.ndarray]
"""For each row the row that stands for it, and how close the two are."""


def duplicate_groups(
    photos: PhotoColumns, vectors: Vectors | None = None, kinds: Collection[DuplicateKind] = DUPLICATE_KINDS
) -> Iterator[DuplicateGroup]:
    """The groups of these kinds: kind by kind, the largest first, then the one whose best photograph is oldest.

    A photograph is in at most one group of each kind. Of files that are the same only the best takes part in the other
    kinds, and of versions of a picture only the best in similar shots. Without vectors, hashes and clocks decide alone.
    """
    ranked = np.lexsort((photos.ids, photos.taken, -photos.width.astype(np.int64) * photos.height))
    photos = photos.take(ranked)
    first_of = _first_of_content(photos.content)
    if "same file" in kinds:
        yield from _groups("same file", photos, first_of)
    if not {"same picture", "similar shot"} & set(kinds):
        return
    rows = np.flatnonzero(first_of == np.arange(len(photos)))
    photos = photos.take(rows)
    of_row = None if vectors is None else _of_rows(vectors, ranked[rows])
    pictures, shots = _judged(photos, of_row)
    picture_of = _of_one_moment(photos, *_nearest_representative(len(photos), *pictures))
    if "same picture" in kinds:
        yield from _groups("same picture", photos, picture_of)
    if "similar shot" in kinds:
        better, worse, closeness = shots
        stands = picture_of == np.arange(len(photos))
        both = stands[better] & stands[worse]
        shot_of, _ = _nearest_representative(len(photos), better[both], worse[both], closeness[both])
        yield from _groups("similar shot", photos, shot_of)


def _of_rows(vectors: Vectors, rows: np.ndarray) -> Vectors:
    return lambda indices: vectors(rows[indices])


def _first_of_content(content: np.ndarray) -> np.ndarray:
    """For each row the first row with the same content: (N,)."""
    order = np.lexsort((content[:, 1], content[:, 0]))  # stable: the best of equal ones comes first
    sorted_content = content[order]
    begins = np.ones(len(order), bool)
    begins[1:] = (sorted_content[1:] != sorted_content[:-1]).any(axis=1)
    first_of = np.empty(len(order), np.int64)
    first_of[order] = order[begins][np.cumsum(begins) - 1]
    return first_of


def _judged(photos: PhotoColumns, vectors: Vectors | None) -> tuple[Edges, Edges]:
    """The pairs that are the same picture, and those that are similar shots."""
    telling = says_something(photos.hashes)
    scale = None
    if vectors is not None:
        sample = np.random.default_rng(0).permutation(len(photos))[:SAMPLE_ROWS]
        sample = sample[vectors(sample).any(axis=1)]
        scale = EmbeddingScale.of(vectors(sample), photos.hashes[sample])
    ways = [same_bands(photos.hashes, telling), same_moments(photos.taken, SECONDS)]
    if vectors is not None and scale is not None:
        ways.append(same_cells(vectors, scale, photos.hashes, telling, WIDEST_BITS))
    keys = np.unique(np.concatenate([np.empty(0, np.int64), *(_plausible(photos, telling, way) for way in ways)]))
    to_different = np.full(len(photos), np.nan, np.float32)
    found: list[list[Edges]] = [[], []]
    for start in range(0, len(keys), CHUNK):
        better, worse = np.divmod(keys[start : start + CHUNK], len(photos))
        bits = hamming(photos.hashes[better], photos.hashes[worse])
        distances = np.full(len(bits), np.nan, np.float32)
        if vectors is not None and scale is not None:
            distances = _distances(photos, vectors, scale, to_different, better, worse)
        closeness = -np.nan_to_num(distances) - bits / np.float32(32)
        pictures = _same_picture(photos, telling, better, worse, bits, distances)
        shots = pictures | _similar_shot(photos, telling, better, worse, bits, distances)
        for edges, chosen in zip(found, (pictures, shots), strict=True):
            edges.append((better[chosen], worse[chosen], closeness[chosen]))
    return _joined(found[0]), _joined(found[1])


def _distances(
    photos: PhotoColumns, vectors: Vectors, scale: EmbeddingScale, to_different: np.ndarray,
    better: np.ndarray, worse: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Relative distances of pairs, NaN where one has no vector; to_different (N,) is filled in as rows are met."""
    used, places = np.unique(np.concatenate([better, worse]), return_inverse=True)
    found = vectors(used)
    rows = centred(found, scale.mean)
    unmet = np.isnan(to_different[used]) & found.any(axis=1)
    to_different[used[unmet]] = scale.distance_to_different(rows[unmet], photos.hashes[used[unmet]])
    cosines = np.einsum("rd,rd->r", rows[places[: len(better)]], rows[places[len(better) :]])
    return relative_distance(cosines, to_different[better], to_different[worse])


def _joined(parts: list[Edges]) -> Edges:
    nothing = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    better, worse, closeness = zip(nothing, *parts, strict=True)
    return np.concatenate(better), np.concatenate(worse), np.concatenate(closeness)


def _plausible(photos: PhotoColumns, telling: np.ndarray, way: Iterable[Pairs]) -> np.ndarray:
    """Candidates that hashes, clocks and cameras leave possible, as one number each: better * N + worse, int64."""
    widest = max(limit.bits for limit in SAME_MOMENT)
    kept = [np.empty(0, np.int64)]
    for better, worse in way:
        seconds = np.abs(photos.taken[better] - photos.taken[worse])
        limit = np.where(np.isnan(seconds), WIDEST_BITS, np.where(telling[better] & telling[worse], widest, 64))
        near = hamming(photos.hashes[better], photos.hashes[worse]) <= limit
        possible = near & ~(seconds > SECONDS) & ~_other_camera(photos, better, worse)
        kept.append(better[possible] * len(photos) + worse[possible])
    return np.concatenate(kept)


def _other_camera(photos: PhotoColumns, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    cameras, others = photos.camera[a], photos.camera[b]
    return np.asarray((cameras >= 0) & (others >= 0) & (cameras != others))


def _other_moment(photos: PhotoColumns, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Whether both say when, and it is not the same: a copy keeps its moment or loses it."""
    seconds = np.abs(photos.taken[a] - photos.taken[b])
    return np.asarray(seconds > 0)  # False where one is not known


def _same_picture(
    photos: PhotoColumns, telling: np.ndarray, better: np.ndarray, worse: np.ndarray,
    bits: np.ndarray, distances: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Which pairs are one picture: near, of like shape, and of one moment where both say when."""
    near = within(SAME_PICTURE, bits, distances) | (np.isnan(distances) & (bits <= SAME_PICTURE_BITS_ALONE))
    near &= (bits <= SAME_PICTURE_BITS_ALONE) | ~_may_be_a_burst(photos, better, worse)
    aspects = photos.width / np.maximum(photos.height, 1)
    stretch = aspects[better] / aspects[worse]
    like_shape = (stretch <= ASPECT) & (stretch >= 1 / ASPECT)
    return np.asarray(near & like_shape & telling[better] & telling[worse] & ~_other_moment(photos, better, worse))


def _may_be_a_burst(photos: PhotoColumns, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Whether two are of one size and one moment: many cameras take several shots within the second that they note."""
    one_size = (photos.width[a] == photos.width[b]) & (photos.height[a] == photos.height[b])
    return np.asarray(one_size & (photos.taken[a] == photos.taken[b]))


def _similar_shot(
    photos: PhotoColumns, telling: np.ndarray, better: np.ndarray, worse: np.ndarray,
    bits: np.ndarray, distances: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Which pairs are shots of one moment, or of one scene.

    A date without a camera is often that of a scanner or a program, the same for pictures of many days.
    """
    both_tell = telling[better] & telling[worse]
    one_camera = (photos.camera[better] >= 0) & (photos.camera[better] == photos.camera[worse])
    one_moment = one_camera & (np.abs(photos.taken[better] - photos.taken[worse]) <= SECONDS)
    unknown = np.isnan(distances)
    bits_that_tell = np.where(both_tell, bits, 0)  # of flat pictures of one moment the embedding decides
    near_in_time = within(SAME_MOMENT, bits_that_tell, distances) | (
        unknown & both_tell & (bits <= SAME_MOMENT_BITS_ALONE)
    )
    return np.asarray((one_moment & near_in_time) | (both_tell & within(SAME_SCENE, bits, distances)))


def _nearest_representative(count: int, better: np.ndarray, worse: np.ndarray, closeness: np.ndarray) -> Standing:
    """For each row the row that stands for it, itself where none does, and how close the two are: (N,) both.

    The best row that nothing stands for yet stands for every row near it; then each row goes to the nearest of the
    representatives near it. Rows are never joined by a chain of others.
    """
    order = np.argsort(better, kind="stable")
    better, worse, closeness = better[order], worse[order], closeness[order]
    leads = np.ones(count, bool)
    starts, begins = np.unique(better, return_index=True)
    ends = np.append(begins, len(better))[1:]
    for row, begin, end in zip(starts.tolist(), begins.tolist(), ends.tolist(), strict=True):
        if leads[row]:
            leads[worse[begin:end]] = False
    edges = leads[better] & ~leads[worse]
    better, worse, closeness = better[edges], worse[edges], closeness[edges]
    order = np.lexsort((better, -closeness, worse))
    rows, first = np.unique(worse[order], return_index=True)
    stands, how_close = np.arange(count), np.full(count, np.inf, np.float32)
    stands[rows] = better[order[first]]
    how_close[rows] = closeness[order[first]]
    return stands, how_close


def _of_one_moment(photos: PhotoColumns, stands: np.ndarray, closeness: np.ndarray) -> np.ndarray:
    """Representatives (N,), where one that does not say when it was taken keeps only members of one moment.

    That of the member closest to it: a copy without a date, larger than the shots of a burst, is near to all of them.
    """
    dated = np.flatnonzero(~np.isnan(photos.taken) & np.isnan(photos.taken[stands]))
    order = dated[np.lexsort((dated, -closeness[dated], stands[dated]))]
    heads, first = np.unique(stands[order], return_index=True)
    closest = order[first][np.searchsorted(heads, stands[order])]
    others = order[_other_moment(photos, order, closest) | _other_camera(photos, order, closest)]
    stands = stands.copy()
    stands[others] = others
    return stands


def _groups(kind: DuplicateKind, photos: PhotoColumns, stands: np.ndarray) -> Iterator[DuplicateGroup]:
    """The groups of two or more; rows are best first, so the representative comes first in each."""
    sizes = np.bincount(stands, minlength=len(photos))
    heads = np.flatnonzero(sizes > 1)
    heads = heads[np.lexsort((photos.ids[heads], photos.taken[heads], -sizes[heads]))]
    order = np.argsort(stands, kind="stable")
    begins = np.searchsorted(stands[order], heads)
    for head, begin in zip(heads, begins, strict=True):
        yield DuplicateGroup(kind, tuple(photos.ids[order[begin : begin + sizes[head]]].tolist()))
