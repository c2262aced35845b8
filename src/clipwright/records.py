"""Frozen dataclasses from JSON and TOML tables, and back: the one reader for recipes and for configs in model files.

Nothing is guessed: an unknown key, a missing one or a value of another type is refused by its full name.
A field that may be one of several dataclasses is told by the key 'kind', which each of them has in KINDS.
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from clipwright.errors import RecipeError, suggestion

T = TypeVar("T")
Kinds = Mapping[str, type]


def read_record(cls: type[T], table: object, where: str, kinds: Kinds | None = None) -> T:
    """The dataclass cls from a table. where names the table in errors; kinds maps 'kind' values to dataclasses.

    Raises RecipeError naming the key and what it should be.
    """
    if not isinstance(table, Mapping):
        raise RecipeError(f"{where} must be a table, not {_shown(table)}")
    assert dataclasses.is_dataclass(cls)
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in fields:
            known = suggestion(str(key), fields) or f"; known keys: {', '.join(fields)}"
            raise RecipeError(f"unknown key {key!r} in {where}{known}")
        values[key] = _read_value(hints[key], value, f"{where}.{key}", kinds or {})
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in values:
            raise RecipeError(f"{where} lacks the key {name!r}")
    try:
        return cls(**values)
    except ValueError as error:
        raise RecipeError(f"{where}: {error}") from error


def write_record(record: object, kinds: Kinds | None = None) -> Any:
    """A dataclass as plain dicts, lists, strings and numbers: what read_record takes."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        named = {cls: kind for kind, cls in (kinds or {}).items()}
        table: dict[str, Any] = {"kind": named[type(record)]} if type(record) in named else {}
        for field in dataclasses.fields(record):
            value = getattr(record, field.name)
            if value is not None:
                table[field.name] = write_record(value, kinds)
        return table
    if isinstance(record, Mapping):
        return {str(key): write_record(value, kinds) for key, value in record.items()}
    if isinstance(record, (list, tuple)):
        return [write_record(item, kinds) for item in record]
    return record


def _read_value(hint: Any, value: object, where: str, kinds: Kinds) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _read_union(arguments, value, where, kinds)
    if origin is Literal:
        if value in arguments and isinstance(value, str):
            return value
        raise RecipeError(f"{where} must be one of {', '.join(map(repr, arguments))}, not {_shown(value)}")
    if origin is tuple:
        return _read_tuple(arguments, value, where, kinds)
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        return _read_kind((hint,), value, where, kinds)
    return _read_plain(hint, value, where)


def _read_union(arguments: tuple[Any, ...], value: object, where: str, kinds: Kinds) -> Any:
    choices = [choice for choice in arguments if choice is not type(None)]
    if value is None and len(choices) < len(arguments):
        return None
    if all(dataclasses.is_dataclass(choice) for choice in choices):
        return _read_kind(tuple(choices), value, where, kinds)
    if len(choices) == 1:
        return _read_value(choices[0], value, where, kinds)
    raise AssertionError(f"{where}: a union of plain types cannot be read")


def _read_kind(choices: tuple[type, ...], value: object, where: str, kinds: Kinds) -> Any:
    """One of several dataclasses, told by its key 'kind'; a single one that has no kind needs none."""
    known = {kind: cls for kind, cls in kinds.items() if cls in choices}
    if not known:
        return read_record(choices[0], value, where, kinds)
    if not isinstance(value, Mapping) or "kind" not in value:
        raise RecipeError(f"{where} lacks the key 'kind': one of {', '.join(map(repr, known))}")
    kind = value["kind"]
    if not isinstance(kind, str) or kind not in known:
        near = suggestion(str(kind), known) or f"; known: {', '.join(known)}"
        raise RecipeError(f"unknown kind {kind!r} in {where}{near}")
    rest = {key: item for key, item in value.items() if key != "kind"}
    return read_record(known[kind], rest, where, kinds)


def _read_tuple(arguments: tuple[Any, ...], value: object, where: str, kinds: Kinds) -> tuple[Any, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise RecipeError(f"{where} must be a list, not {_shown(value)}")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_read_value(arguments[0], item, f"{where}[{i}]", kinds) for i, item in enumerate(value))
    if len(value) != len(arguments):
        raise RecipeError(f"{where} must have {len(arguments)} values, not {len(value)}")
    pairs = enumerate(zip(arguments, value, strict=True))
    return tuple(_read_value(hint, item, f"{where}[{i}]", kinds) for i, (hint, item) in pairs)


def _read_plain(hint: Any, value: object, where: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) < sys.float_info.max:
        return float(value)
    if hint is Any or (isinstance(value, hint) and (hint is bool or not isinstance(value, bool))):
        return value
    names = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}
    raise RecipeError(f"{where} must be {names.get(hint, hint.__name__)}, not {_shown(value)}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
