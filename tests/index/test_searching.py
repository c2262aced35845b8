"""A search of an index, from the query to hits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipwright.errors import ClipwrightError, DimensionError, IndexFileError, QueryError
from clipwright.index.photo_index import PhotoIndex
from tests.index.folders import colour_embedder, vector_of, write_photos


@pytest.fixture
def index(tmp_path: Path) -> Iterator[PhotoIndex]:
    """An index of 200 photographs, each of one colour."""
    write_photos(tmp_path / "folder", 200)
    with PhotoIndex.open(tmp_path / "photos.db") as opened:
        opened.update([tmp_path / "folder"], colour_embedder())
        yield opened


def test_a_vector_finds_the_photograph_that_it_was_made_of(index: PhotoIndex) -> None:
    hits = index.search(vector_of(77), None, limit=3)
    assert [hit.photo.source.name for hit in hits][:1] == ["0077.png"]
    assert hits[0].similarity == pytest.approx(1, abs=1e-3)
    assert [hit.similarity for hit in hits] == sorted((hit.similarity for hit in hits), reverse=True)


def test_a_vector_need_not_have_length_1(index: PhotoIndex) -> None:
    once, thrice = (index.search(times * vector_of(5), None, limit=5) for times in (1, 3))
    assert [hit.photo.id for hit in once] == [hit.photo.id for hit in thrice]
    assert once[0].similarity == pytest.approx(thrice[0].similarity, abs=1e-5)


def test_what_is_like_a_photograph_is_not_that_photograph(index: PhotoIndex) -> None:
    itself = index.search(vector_of(77), None, limit=1)[0].photo
    found = index.search(None, None, like=itself.id, limit=200)
    assert len(found) == 199
    assert itself.id not in {hit.photo.id for hit in found}


def test_a_query_or_a_photograph_is_asked_for_not_both_nor_neither(index: PhotoIndex) -> None:
    for query, like in ((None, None), ("a cat", 1)):
        with pytest.raises(QueryError, match="either a query or a photograph"):
            index.search(query, colour_embedder(), like=like)


def test_a_photograph_that_is_not_there_is_refused(index: PhotoIndex) -> None:
    with pytest.raises(QueryError, match="photo:999999"):
        index.search("photo:999999", None)


def test_words_without_a_model_are_refused(index: PhotoIndex) -> None:
    with pytest.raises(ClipwrightError, match="need a model"):
        index.search("a cat", None)


def test_a_vector_of_another_width_is_refused(index: PhotoIndex) -> None:
    with pytest.raises(DimensionError):
        index.search(np.ones(7, np.float32), None)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_a_vector_without_a_direction_is_refused(index: PhotoIndex, value: float) -> None:
    with pytest.raises(QueryError, match="must be of finite numbers that are not all 0"):
        index.search(np.full(4, value, np.float32), None)


def test_a_model_whose_vectors_the_index_has_not_is_refused(index: PhotoIndex) -> None:
    with pytest.raises(IndexFileError, match="no vectors of model of elsewhere"):
        index.search("a cat", colour_embedder(space_id="elsewhere"))


def test_an_empty_index_is_refused_without_a_model(tmp_path: Path) -> None:
    with PhotoIndex.open(tmp_path / "empty.db") as empty, pytest.raises(IndexFileError, match="no photographs yet"):
        empty.search("photo:1", None)


def test_copies_are_folded_into_the_best_of_them_where_that_is_asked(index: PhotoIndex, tmp_path: Path) -> None:
    patches = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    picture = Image.fromarray(patches).resize((240, 180), Image.Resampling.BICUBIC)
    for quality in (95, 80, 60):
        picture.save(tmp_path / "folder" / f"patches{quality}.jpg", quality=quality)
    index.update([], colour_embedder())
    query = f"photo:{index.search(None, None, like=1, limit=1)[0].photo.id}"
    apart, folded = (index.search(query, None, limit=1000, unique=unique) for unique in (False, True))
    (stands,) = [hit for hit in folded if hit.photo.source.name.startswith("patches")]
    assert len(stands.folded) == 2
    everyone = [hit.photo.id for hit in folded] + [photo.id for hit in folded for photo in hit.folded]
    assert sorted(everyone) == sorted(hit.photo.id for hit in apart)


def test_the_space_that_most_photographs_have_is_searched(index: PhotoIndex, tmp_path: Path) -> None:
    write_photos(tmp_path / "more", 10, first=300)
    index.update([tmp_path / "more"], colour_embedder(space_id="second"))
    assert [space.space_id for space in index.spaces()] == ["colours", "second"]
    assert len(index.search(vector_of(3), None, limit=1000)) == 200
