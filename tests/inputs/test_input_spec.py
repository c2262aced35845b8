from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from clipwright.errors import RecipeError
from clipwright.inputs.input_spec import InputSpec
from clipwright.records import read_record, write_record

REQUIRED: dict[str, Any] = {"image_size": 224, "context_length": 77, "start_id": 49406, "end_id": 49407, "pad_id": 0}


def test_what_is_not_said_is_as_openai_does_it() -> None:
    spec = InputSpec(**REQUIRED)
    assert (spec.resize, spec.crop_rounding, spec.interpolation) == ("shortest", "round", "bicubic")
    assert spec.mean == (0.48145466, 0.4578275, 0.40821073)
    assert spec.std == (0.26862954, 0.26130258, 0.27577711)
    assert (spec.text_cleaning, spec.padding) == ("lower", "longest")


def test_a_spec_cannot_be_changed() -> None:
    spec = InputSpec(**REQUIRED)
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.image_size = 336  # type: ignore[misc]


@pytest.mark.parametrize(
    ("key", "value"), [("image_size", 0), ("context_length", 2), ("std", (0.2, 0.0, 0.2)), ("std", (-0.1, 0.2, 0.2))]
)
def test_a_value_out_of_range_is_refused_by_its_name(key: str, value: Any) -> None:
    values: dict[str, Any] = {**REQUIRED, key: value}
    with pytest.raises(ValueError, match=key):
        InputSpec(**values)


@pytest.mark.parametrize("change", [{"padding_side": "left"}, {"with_end": False}])
def test_what_would_depend_on_the_other_texts_of_a_batch_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="padded on the left, or without their end, need the padding 'context'"):
        InputSpec(**REQUIRED, **change)
    InputSpec(**REQUIRED, **change, padding="context")


def test_a_spec_without_a_start_survives_being_written_and_read() -> None:
    spec = InputSpec(**REQUIRED | {"start_id": None})
    assert read_record(InputSpec, write_record(spec), "spec") == spec


def test_a_spec_survives_being_written_and_read() -> None:
    spec = InputSpec(**REQUIRED, resize="longest", fill=(1, 2, 3), padding="context", text_cleaning="none")
    assert read_record(InputSpec, write_record(spec), "spec") == spec


@pytest.mark.parametrize(("key", "value"), [("resize", "stretch"), ("crop_rounding", "up"), ("interpolation", "area")])
def test_an_unknown_rule_is_refused_when_read(key: str, value: str) -> None:
    with pytest.raises(RecipeError, match=f"spec.{key} must be one of .*not '{value}'"):
        read_record(InputSpec, {**REQUIRED, key: value}, "spec")
