from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from clipwright.checkpoints.checkpoint import config_table, read_config
from clipwright.errors import RecipeError
from clipwright.model.config import ModelConfig, ResNetConfig, TextTransformerConfig, VisionTransformerConfig
from clipwright.records import read_record, write_record


@dataclass(frozen=True, kw_only=True)
class Circle:
    radius: float


@dataclass(frozen=True, kw_only=True)
class Square:
    side: float
    colour: Literal["red", "blue"] = "red"


@dataclass(frozen=True, kw_only=True)
class Drawing:
    name: str
    count: int = 1
    scale: float = 1.0
    framed: bool = False
    shape: Circle | Square | None = None
    corners: tuple[int, int] = (0, 0)
    tags: tuple[str, ...] = ()
    notes: str | None = None
    parts: tuple[Circle, ...] = ()
    extra: Any = None
    history: tuple[str, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError(f"count must not be below 0, not {self.count}")


KINDS: dict[str, type] = {"circle": Circle, "square": Square}


def read(**table: Any) -> Drawing:
    return read_record(Drawing, {"name": "a", **table}, "drawing", KINDS)


def test_what_a_table_says_becomes_the_record_and_the_rest_its_defaults() -> None:
    assert read(count=3, tags=["x", "y"]) == Drawing(name="a", count=3, tags=("x", "y"))


def test_a_whole_number_serves_as_a_number() -> None:
    scale = read(scale=2).scale
    assert (scale, type(scale)) == (2.0, float)


def test_an_unknown_key_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(RecipeError, match="unknown key 'cuont' in drawing; did you mean 'count'"):
        read(cuont=3)


def test_an_unknown_key_like_no_other_is_refused_with_all_that_are_known() -> None:
    with pytest.raises(RecipeError, match="unknown key 'zzzz' in drawing; known keys: name, count, scale"):
        read(zzzz=3)


def test_a_missing_key_is_refused_by_name() -> None:
    with pytest.raises(RecipeError, match="drawing lacks the key 'name'"):
        read_record(Drawing, {}, "drawing")


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("name", 5, "a string, not 5"),
        ("name", None, "a string, not None"),
        ("count", "3", "a whole number, not '3'"),
        ("count", 3.0, r"a whole number, not 3\.0"),
        ("count", True, "a whole number, not True"),
        ("scale", "1.0", r"a number, not '1\.0'"),
        ("scale", False, "a number, not False"),
        ("framed", 1, "true or false, not 1"),
        ("framed", "true", "true or false, not 'true'"),
        ("notes", 5, "a string, not 5"),
        ("tags", "x", "a list, not 'x'"),
        ("tags", 5, "a list, not 5"),
        ("corners", {"x": 1}, "a list, not {'x': 1}"),
    ],
)
def test_a_value_of_another_type_is_refused_by_its_full_name(key: str, value: Any, wanted: str) -> None:
    with pytest.raises(RecipeError, match=rf"drawing\.{key} must be {wanted}"):
        read(**{key: value})


def test_a_wrong_item_of_a_list_is_named_by_its_place() -> None:
    with pytest.raises(RecipeError, match=r"drawing\.tags\[1\] must be a string, not 5"):
        read(tags=["x", 5])


@pytest.mark.parametrize("corners", [[], [1], [1, 2, 3]])
def test_a_list_of_the_wrong_length_is_refused(corners: list[int]) -> None:
    with pytest.raises(RecipeError, match=rf"drawing\.corners must have 2 values, not {len(corners)}"):
        read(corners=corners)


def test_a_word_outside_the_known_ones_is_refused_with_them() -> None:
    with pytest.raises(RecipeError, match=r"drawing\.shape\.colour must be one of 'red', 'blue', not 'green'"):
        read(shape={"kind": "square", "side": 1, "colour": "green"})


@pytest.mark.parametrize("colour", [["red"], {"red": 1}, None, 1])
def test_a_word_that_is_no_word_is_refused(colour: Any) -> None:
    with pytest.raises(RecipeError, match=r"drawing\.shape\.colour must be one of"):
        read(shape={"kind": "square", "side": 1, "colour": colour})


def test_the_kind_tells_which_record_a_table_is() -> None:
    assert read(shape={"kind": "circle", "radius": 2}).shape == Circle(radius=2.0)
    assert read(shape={"kind": "square", "side": 2}).shape == Square(side=2.0)
    assert read(shape=None).shape is None


def test_an_unknown_kind_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(RecipeError, match=r"unknown kind 'cirkle' in drawing\.shape; did you mean 'circle'"):
        read(shape={"kind": "cirkle", "radius": 2})


@pytest.mark.parametrize("shape", [{"radius": 2}, 5, []])
def test_a_missing_kind_is_refused_with_the_known_ones(shape: Any) -> None:
    with pytest.raises(RecipeError, match=r"drawing\.shape lacks the key 'kind': one of 'circle', 'square'"):
        read(shape=shape)


def test_a_key_of_another_kind_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"unknown key 'side' in drawing\.shape"):
        read(shape={"kind": "circle", "side": 2})


def test_records_in_lists_are_read() -> None:
    assert read_record(Drawing, {"name": "a", "parts": [{"radius": 1}]}, "drawing").parts == (Circle(radius=1.0),)


@pytest.mark.parametrize("table", [None, [], "name = 1", 5])
def test_what_is_no_table_is_refused(table: object) -> None:
    with pytest.raises(RecipeError, match="drawing must be a table"):
        read_record(Drawing, table, "drawing")


def test_what_the_record_itself_refuses_is_told_with_the_place() -> None:
    with pytest.raises(RecipeError, match="drawing: count must not be below 0, not -1"):
        read(count=-1)


def test_a_long_value_is_shortened_in_the_message() -> None:
    with pytest.raises(RecipeError) as refused:
        read(count="x" * 1000)
    assert len(str(refused.value)) < 120


def test_a_record_survives_being_written_and_read() -> None:
    drawing = Drawing(name="a", shape=Square(side=1.5), corners=(3, 4), tags=("x",), parts=(), extra={"deep": [1, 2]})
    table = json.loads(json.dumps(write_record(drawing, KINDS)))
    assert table["shape"] == {"kind": "square", "side": 1.5, "colour": "red"}
    assert read_record(Drawing, table, "drawing", KINDS) == drawing


def test_what_is_none_is_not_written() -> None:
    assert "notes" not in write_record(Drawing(name="a"))


TEXT = TextTransformerConfig(context_length=16, vocab_size=600, width=64, layers=2, heads=1, mlp_width=256)


@pytest.mark.parametrize(
    "vision",
    [
        VisionTransformerConfig(image_size=64, patch_size=16, width=64, layers=2, heads=1, mlp_width=256, epsilon=1e-6),
        ResNetConfig(image_size=64, width=8, stage_blocks=(1, 2, 1, 1), heads=4),
    ],
    ids=["vit", "resnet"],
)
def test_a_model_config_survives_being_written_and_read(vision: VisionTransformerConfig | ResNetConfig) -> None:
    config = ModelConfig(embed_dim=32, vision=vision, text=TEXT)
    assert read_config(json.loads(json.dumps(config_table(config))), "config") == config


def test_a_model_config_that_contradicts_itself_is_refused() -> None:
    config = ModelConfig(
        embed_dim=32, vision=ResNetConfig(image_size=64, width=8, stage_blocks=(1, 1, 1, 1), heads=4), text=TEXT
    )
    table = config_table(config)
    table["vision"]["image_size"] = 65
    with pytest.raises(RecipeError, match=r"config\.vision: image_size 65 is not a multiple of 32"):
        read_config(table, "config")
