from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clipwright import errors
from clipwright.api import Classification
from clipwright.errors import (
    FAILURE_CODES,
    ClipwrightError,
    Failure,
    ImageError,
    MissingExtraError,
    describe_source,
    suggestion,
)

KINDS = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, Exception)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_a_clipwright_error_and_says_when_it_comes(kind: type[Exception]) -> None:
    assert issubclass(kind, ClipwrightError)
    assert kind.__doc__


def test_the_codes_of_failures_are_these() -> None:
    """Users' scripts compare them; a new one is added, an old one stays."""
    published = {"missing", "unreadable", "empty", "not_an_image", "truncated", "too_large", "no_pictures"}
    assert published <= set(FAILURE_CODES)


def test_a_picture_that_cannot_be_used_becomes_a_failure_of_its_source() -> None:
    failure = ImageError("truncated", "the file ends before the picture does").failure("a.jpg")
    assert failure == Failure("a.jpg", "truncated", "the file ends before the picture does")


def test_a_missing_extra_is_told_with_the_command_that_installs_it() -> None:
    assert (
        str(MissingExtraError("training", "train"))
        == "training needs the 'train' extra: pip install 'clipwright[train]'"
    )


def test_a_suggestion_names_what_is_near() -> None:
    assert suggestion("imege_size", ["image_size", "layers"]) == "; did you mean 'image_size'?"


def test_a_suggestion_names_several_where_several_are_near() -> None:
    assert suggestion("vit-b", ["vit-b-32", "vit-b-16", "resnet"]) == "; did you mean 'vit-b-32' or 'vit-b-16'?"


def test_nothing_near_is_no_suggestion() -> None:
    assert suggestion("zzz", ["image_size", "layers"]) == ""


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Path("b.jpg"), "b.jpg"),
        ("b.jpg", "b.jpg"),
        (b"12345", "5 bytes"),
        (np.zeros((2, 3, 3), np.uint8), "array (2, 3, 3)"),
        (torch.zeros(3, 8, 9), "Tensor (3, 8, 9)"),
        (Image.new("RGB", (5, 4)), "size=5x4"),
        ([[1, 2], [3, 4]], "a value of type list"),
        (None, "a value of type NoneType"),
    ],
    ids=["Path", "str", "bytes", "array", "tensor", "Pillow", "list", "None"],
)
def test_a_source_is_named_in_words(source: object, words: str) -> None:
    assert words in describe_source(source)
    assert words in repr(Failure(source, "not_an_image", "no picture"))


def test_no_number_of_a_picture_is_shown() -> None:
    numbers = [np.full((9, 9), 77.0), torch.full((3, 5, 5), 77), [[77, 77]]]
    for source in numbers:
        failure = Failure(source, "not_an_image", "no picture")
        assert "77" not in repr(failure) + repr(Classification(source)) + repr(Classification(source, failure=failure))
