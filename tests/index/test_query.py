"""Queries as vectors: what is embedded, and how terms add up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipwright.errors import ClipwrightError, QueryError
from clipwright.index.query import Query
from clipwright.index.query_parser import parse_query
from tests.support import FAKE_COLOURS, FakeBackend, fake_embedder

EMBEDDER = fake_embedder()


def unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


@pytest.fixture
def red_square(tmp_path: Path) -> Path:
    path = tmp_path / "red square.png"
    Image.new("RGB", (8, 8), FAKE_COLOURS["red"]).save(path)
    return path


def test_words_are_embedded_as_they_stand() -> None:
    assert parse_query("a green square").embed(EMBEDDER) == pytest.approx(EMBEDDER.embed_texts(["a green square"]))


def test_a_blend_is_the_weighted_sum_at_length_one(red_square: Path) -> None:
    picture = EMBEDDER.embed_images([red_square])[0]
    green, blue = EMBEDDER.embed_texts(["green", "blue"])
    vectors = parse_query(f"{red_square} + 2:green - 0.5:blue").embed(EMBEDDER)
    assert vectors[0] == pytest.approx(unit(picture + 2 * green - 0.5 * blue), abs=1e-6)
    assert vectors.dtype == np.float32


def test_each_blend_has_a_row_and_the_same_blend_one() -> None:
    query = parse_query("red AND (green + blue OR NOT red)")
    assert [str(blend) for blend in query.blends] == ["red", "green + blue"]
    assert query.embed(EMBEDDER).shape == (2, 4)


def test_words_go_in_one_batch_and_pictures_in_another_each_once(red_square: Path) -> None:
    backend = FakeBackend()
    parse_query(f"red AND NOT green - red AND {red_square} + green AND {red_square}").embed(fake_embedder(backend))
    assert len(backend.ends) == 2
    assert backend.batch_sizes == [1]


def test_a_photograph_of_the_index_needs_no_model() -> None:
    stored = {7: unit(np.array([1.0, 2.0, 3.0, 4.0], np.float32))}
    assert Query.like(7).embed(None, stored.__getitem__)[0] == pytest.approx(stored[7])
    with pytest.raises(ClipwrightError, match="model"):
        parse_query("red + photo:7").embed(None, stored.__getitem__)


def test_a_photograph_that_is_not_in_the_index_is_refused() -> None:
    stored: dict[int, np.ndarray] = {}
    for look_up in (stored.__getitem__, None):
        with pytest.raises(QueryError, match="photo:8 of the query is not in the index"):
            Query.like(8).embed(EMBEDDER, look_up)


def test_an_upload_is_a_picture_by_its_name(red_square: Path) -> None:
    query = parse_query("upload:mine", files=False)
    vectors = query.embed(EMBEDDER, uploads={"mine": red_square.read_bytes()})
    assert vectors == pytest.approx(EMBEDDER.embed_images([red_square]))
    with pytest.raises(QueryError, match="'mine'"):
        query.embed(EMBEDDER)


def test_a_home_folder_is_found(red_square: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(red_square.parent))
    assert parse_query("~/red square.png").embed(EMBEDDER) == pytest.approx(EMBEDDER.embed_images([red_square]))


def test_a_file_that_is_no_picture_is_named(bad_photos: dict[str, Path]) -> None:
    for code, path in bad_photos.items():
        if path.is_file() and code != "too_large":
            with pytest.raises(QueryError, match=f"{path.name}' of the query cannot be used"):
                parse_query(f'red + file:"{path}"').embed(EMBEDDER)


@pytest.mark.parametrize("text", ["red - red", "0.5:red + green - 0.5:red - green"])
def test_terms_that_cancel_out_are_refused(text: str) -> None:
    with pytest.raises(QueryError, match="adds up to nothing"):
        parse_query(text).embed(EMBEDDER)
