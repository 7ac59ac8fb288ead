"""Damages .tflite files: single fields of the schema's objects, or bytes."""

from __future__ import annotations

import copy
import random
import struct
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests import raw_model

_INTEGERS = (-(2**31), -129, -2, -1, 0, 1, 2, 3, 5, 127, 255, 2**15, 2**31 - 1)
_FLOATS = (0.0, -1.0, float("nan"), float("inf"), 1e-40, 1e38)
_NAMES = (None, b"", b"\xff\xfe", b"train/label")
_OPTIONS = [
    getattr(schema, f"{name}T")
    for name in vars(schema.BuiltinOptions)
    if hasattr(schema, f"{name}T")
]
_HEADER = 8


def damaged(data: bytes, rng: random.Random) -> bytes | None:
    """A damaged copy; None where what was changed cannot be written."""
    if rng.random() < 0.15:
        return _with_other_bytes(data, rng)
    changes = [_change_a_field] * rng.choice((1, 1, 1, 2, 3))

    def change(model: Any) -> None:
        for one in changes:
            one(model, rng)

    try:
        return raw_model.edit(data, change)
    except (struct.error, TypeError, AttributeError, ValueError, OverflowError):
        return None


def _with_other_bytes(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        changed[rng.randrange(_HEADER, len(changed))] = rng.randrange(256)
    return bytes(changed)


def _fields(node: Any) -> Iterator[tuple[Any, str]]:
    for item in node if isinstance(node, list) else [node]:
        for name, value in vars(item).items() if hasattr(item, "__dict__") else ():
            yield item, name
            if isinstance(value, list) or hasattr(value, "__dict__"):
                yield from _fields(value)


def _change_a_field(model: Any, rng: random.Random) -> None:
    # Each kind of field is as likely as any other, however many there are of it.
    kinds: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for node, name in _fields(model):
        kinds[type(node).__name__, name].append(node)
    kind = rng.choice(sorted(kinds))
    node, name = rng.choice(kinds[kind]), kind[1]
    if name == "builtinOptions":
        _change_options(node, rng)
        return
    value = getattr(node, name)
    if value is None:
        others = [getattr(other, name) for other in kinds[kind]]
        setattr(node, name, rng.choice([o for o in others if o is not None] or [b"x"]))
        return
    for types, change in _CHANGES:
        if isinstance(value, types):
            setattr(node, name, change(value, rng))
            return
    setattr(node, name, None)


def _change_options(operator: Any, rng: random.Random) -> None:
    operator.builtinOptions = rng.choice((None, rng.choice(_OPTIONS)()))
    operator.builtinOptionsType = 0
    if operator.builtinOptions is not None:
        name = type(operator.builtinOptions).__name__.removesuffix("T")
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)


def _integer(value: int, rng: random.Random) -> int:
    return rng.choice((*_INTEGERS, int(value) + 1, int(value) - 1, 2 * int(value)))


def _vector(value: Any, rng: random.Random) -> Any:
    action = rng.randrange(5)
    if value.size == 0 or action == 0:
        return rng.choice((None, value[:0]))
    if action == 1:
        return value[:-1]
    if action == 2:
        return np.concatenate([value, value[-1:]])
    changed, place = value.copy(), rng.randrange(value.size)
    if value.dtype.kind == "f":
        changed[place] = rng.choice(_FLOATS)
        return changed
    limits = np.iinfo(value.dtype)
    changed[place] = min(max(_integer(value[place], rng), limits.min), limits.max)
    return changed


def _list(value: list[Any], rng: random.Random) -> list[Any] | None:
    action = rng.randrange(4)
    if not value or action == 0:
        return rng.choice((None, []))
    changed = list(value)
    if action == 1:
        del changed[rng.randrange(len(changed))]
    elif action == 2:
        changed.insert(rng.randrange(len(changed) + 1), copy.copy(rng.choice(changed)))
    else:
        first, second = rng.randrange(len(changed)), rng.randrange(len(changed))
        changed[first], changed[second] = changed[second], changed[first]
    return changed


_CHANGES: tuple[tuple[Any, Callable[[Any, random.Random], Any]], ...] = (
    (bool, lambda value, rng: not value),
    ((int, np.integer), _integer),
    (float, lambda value, rng: rng.choice(_FLOATS)),
    (bytes, lambda value, rng: rng.choice((*_NAMES, value[:-1], value + b"x"))),
    (np.ndarray, _vector),
    (list, _list),
)
