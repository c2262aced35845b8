from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from clipwright.errors import DimensionError
from clipwright.tasks.similarity_picture import draw_similarities, thumbnail

FRAME = (214, 92, 32)


def drawn(rows: int, columns: int, texts: list[str] | None = None) -> Image.Image:
    matrix = np.linspace(0, 1, rows * columns).reshape(rows, columns)
    images = [Image.new("RGB", (64, 48), "green") for _ in range(rows)]
    return draw_similarities(images, texts or ["a cat"] * columns, matrix)


def framed_cells(picture: Image.Image) -> list[tuple[int, int]]:
    """Middle (x, y) of every stretch of frame in the picture's columns and rows of pixels, from the top left."""
    marked = (np.asarray(picture) == FRAME).all(axis=2)
    corners = marked & ~np.roll(marked, 1, axis=0) & ~np.roll(marked, 1, axis=1)
    return [(int(x), int(y)) for y, x in np.argwhere(corners)]


def test_the_picture_grows_by_the_same_for_every_row_and_column() -> None:
    small, tall, wide = drawn(2, 2), drawn(4, 2), drawn(2, 4)
    assert tall.width == small.width
    assert wide.height == small.height
    assert tall.height - small.height == wide.width - small.width == 2 * 99


def test_the_best_text_of_each_image_is_framed() -> None:
    matrix = np.array([[0.1, 0.9, 0.2], [0.8, 0.1, 0.3]])
    picture = draw_similarities([Image.new("RGB", (8, 8))] * 2, ["a", "b", "c"], matrix)
    (first_x, first_y), (second_x, second_y) = framed_cells(picture)
    assert (first_x - second_x, second_y - first_y) == (99, 99)


def test_a_higher_value_is_darker() -> None:
    picture = draw_similarities([Image.new("RGB", (8, 8))], ["low", "middle", "high"], np.array([[0.1, 0.2, 0.3]]))
    low, middle, high = np.asarray(picture.convert("L"))[picture.height - 40, [140, 239, 338]]
    assert low > middle > high


def test_equal_values_are_drawn_too() -> None:
    picture = draw_similarities([Image.new("RGB", (8, 8))], ["a", "b"], np.array([[0.2, 0.2]]))
    assert len(framed_cells(picture)) == 1


@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (0, 2), (2,)])
def test_a_matrix_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DimensionError, match="does not fit 2 images and 2 texts"):
        draw_similarities([Image.new("RGB", (8, 8))] * 2, ["a", "b"], np.zeros(shape))


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(DimensionError, match="0 images"):
        draw_similarities([], ["a"], np.zeros((0, 1)))


@pytest.mark.parametrize(
    "text",
    ["", "a very long caption " * 20, "W" * 300, "a\nb\n\nc\td", "ein Kätzchen, 猫, кошка 🐱"],
    ids=["empty", "long", "one long word", "white space", "letters the font may lack"],
)
def test_any_caption_is_drawn(text: str) -> None:
    assert drawn(1, 2, ["a cat", text]).mode == "RGB"


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (1000, 7), (400, 300)])
def test_a_thumbnail_is_a_small_square_and_its_own_thumbnail(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    small = thumbnail(Image.fromarray(noise))
    assert small.size == (96, 96)
    assert thumbnail(small).tobytes() == small.tobytes()


def test_a_thumbnail_shows_the_middle() -> None:
    array = np.zeros((90, 270, 3), np.uint8)
    array[:, 90:180] = 255
    assert np.asarray(thumbnail(Image.fromarray(array)))[:, 4:-4].min() > 250
