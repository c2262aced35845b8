"""Tensors of other libraries are pictures, without their library; what may mean two things is refused."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from clipwright.errors import ImageError
from clipwright.inputs.images import open_image

ARRAY = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
FIRST = torch.from_numpy(ARRAY).permute(2, 0, 1)
"""The same with its colours first, as torch has them."""


class Tensor:
    """As JAX's and TensorFlow's: it gives an array, and shows its numbers."""

    def __init__(self, array: np.ndarray, error: Exception | None = None) -> None:
        self._array, self._error = array, error

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self._error:
            raise self._error
        return self._array

    def __repr__(self) -> str:
        return repr(self._array.tolist())


def seen(source: Any) -> np.ndarray:
    return np.asarray(open_image(source))


def refusal(source: Any) -> str:
    with pytest.raises(ImageError) as refused:
        open_image(source)
    assert refused.value.code == "not_an_image"
    return str(refused.value)


@pytest.mark.parametrize(
    "tensor",
    [
        FIRST,
        torch.from_numpy(ARRAY),
        FIRST.float() / 255,
        FIRST.double() / 255,
        (FIRST.float() / 255).requires_grad_(),
        torch.from_numpy(ARRAY.repeat(2, axis=1)).permute(2, 0, 1)[:, :, ::2],
        Tensor(ARRAY),
        Tensor(ARRAY / 255),
    ],
    ids=["bytes", "colours last", "float", "double", "with a gradient", "in pieces", "another library's", "its floats"],
)
def test_a_tensor_is_the_picture_that_its_array_is(tensor: Any) -> None:
    assert np.array_equal(seen(tensor), ARRAY)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_short_floats_are_as_near_as_they_can_be(dtype: torch.dtype) -> None:
    assert np.abs(seen((FIRST.float() / 255).to(dtype)).astype(int) - ARRAY).max() <= 1


def test_grey_and_transparent_tensors_are_pictures() -> None:
    grey = torch.from_numpy(ARRAY[:, :, 0])
    assert np.array_equal(seen(grey), seen(ARRAY[:, :, 0]))
    assert np.array_equal(seen(grey[None]), seen(ARRAY[:, :, 0]))
    alpha = np.dstack([ARRAY, ARRAY[:, :, :1]])
    assert np.array_equal(seen(torch.from_numpy(alpha).permute(2, 0, 1)), seen(alpha))


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (torch.zeros(3, 8, 3), r"shape \(3, 8, 3\) may have its colours first or last; give an array \(H, W, 3\)"),
        (torch.zeros(2, 3, 8, 9), r"a tensor of shape \(2, 3, 8, 9\) is no picture; \(3, H, W\) and \(H, W, 3\) are"),
        (torch.zeros(5), r"a tensor of shape \(5,\) is no picture"),
        (torch.zeros(3, 0, 9), "is no picture"),
        (FIRST.float() / 128 - 1, "the smallest value here is -1; .* normalised already go to image_features"),
        (FIRST.float(), "a float picture holds 0 to 1; the largest value here is 255"),
        (FIRST.long(), "an array of int64 is no picture"),
        (FIRST.float().to_sparse(), "this Tensor cannot be made an array of NumPy"),
        (
            Tensor(ARRAY, TypeError("use .get()")),
            r"this Tensor cannot be made an array of NumPy \(TypeError: use .get\(\)\)",
        ),
        (Tensor(ARRAY.transpose(2, 0, 1)), r"an array of shape \(3, 20, 30\) is no picture; \(H, W, 3\) is"),
        (
            [[77, 77], [77, 77]],
            "a value of type list is no picture; a path, a file's bytes, a Pillow picture or an array is",
        ),
        (ARRAY.astype(object), "an array of object is no picture"),
        (None, "a value of type NoneType is no picture"),
        (77, "a value of type int is no picture"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_picture_is_refused_by_what_it_is_and_not_by_its_numbers(source: Any, sentence: str) -> None:
    assert re.search(sentence, refusal(source))
    assert "77" not in refusal(source)
