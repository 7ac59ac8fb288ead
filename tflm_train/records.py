"""Results as frozen dataclasses, the plain values (JSON) that are made from them, and the way back.

A field's JSON key is its name, without the underscore that keeps it from being a Python keyword.
What a field means, and its unit, is said once: in the `Attributes` of its class's docstring, from
which docs/JSON.md is made.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

_SOMETIMES = "sometimes"
_T = TypeVar("_T")


def sometimes() -> Any:
    """A field that is None, and left out of the JSON, where there is nothing to say."""
    return dataclasses.field(default=None, metadata={_SOMETIMES: True})


def is_sometimes(field: dataclasses.Field[Any]) -> bool:
    """Whether a field is left out of the JSON where it is None."""
    return _SOMETIMES in field.metadata


def key_of(field: dataclasses.Field[Any]) -> str:
    """A field's key in the JSON."""
    return field.name.rstrip("_")


def plain(value: Any) -> Any:
    """A record, or anything made of records, as values that `json.dumps` takes.

    Args:
      value: A record; a mapping, a list or a tuple of values; or a single value.

    Returns:
      Dicts, lists, strings, numbers, booleans and None.
    """
    if dataclasses.is_dataclass(value):
        return {
            key_of(field): plain(content)
            for field in dataclasses.fields(value)
            if (content := getattr(value, field.name)) is not None or not is_sometimes(field)
        }
    if isinstance(value, Mapping):
        return {str(key): plain(content) for key, content in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, enum.Enum) else value


def parse_json(text: str | bytes) -> Any:
    """Reads JSON that anybody may have written.

    Raises:
      ValueError: It is none, or nested deeper than Python follows.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def from_plain(kind: type[_T], value: Any) -> _T:
    """The way back from `plain`, for files that anybody may have changed.

    Args:
      kind: A record's class, `int`, `float`, `str`, `bool`, `tuple[X, ...]` of these, or a union.
      value: What JSON gave.

    Raises:
      TypeError: The value, or one inside, is of another kind.
      ValueError: A number does not fit.
    """
    found: Any = None
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        if not isinstance(value, dict):
            raise TypeError(f"no {kind.__name__}")
        found = {key: from_plain(hints.get(key, types.NoneType), v) for key, v in value.items()}
        return kind(**found)
    if typing.get_origin(kind) is tuple and isinstance(value, list):
        found = tuple(from_plain(typing.get_args(kind)[0], item) for item in value)
        return typing.cast(_T, found)
    if isinstance(kind, types.UnionType):
        kinds = typing.get_args(kind)
        found = next((k for k in kinds if k is type(value)), kinds[0])
        return typing.cast(_T, from_plain(found, value))
    if kind is float and type(value) is int:
        try:
            return typing.cast(_T, float(value))
        except OverflowError as error:
            raise ValueError("a number does not fit") from error
    if type(value) is not kind:
        raise TypeError(f"no {kind}")
    found = value
    return typing.cast(_T, found)
