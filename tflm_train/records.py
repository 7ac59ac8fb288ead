"""Results as frozen dataclasses, and the plain values (JSON) that are made from them.

A field's JSON key is its name, without the underscore that keeps it from being a Python keyword.
What a field means, and its unit, is said once: in the `Attributes` of its class's docstring, from
which docs/JSON.md is made.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

_SOMETIMES = "sometimes"


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
