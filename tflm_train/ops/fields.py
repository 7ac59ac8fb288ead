"""Structs of 4-byte numbers: how an op's parameters are declared, packed and unpacked.

A struct is a frozen dataclass derived from `Struct`. Its fields are `int` or `float`, other
structs, or tuples of either: of as many as `Number.count` says or, the last field only, of as many
as there is room for. `Annotated[int, Number(...)]` says more about a field.
"""

from __future__ import annotations

import dataclasses
import functools
import struct
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self, TypeVar

WORD = 4
_F = TypeVar("_F", bound=Callable[..., Any])


def cached(function: _F) -> _F:
    """`functools.cache` for functions of a class: mypy takes frozen ones for unhashable."""
    return typing.cast(_F, functools.cache(function))


@dataclass(frozen=True)
class Number:
    """What a field holds.

    Attributes:
      note: For the reader of the C++ header and of docs/NUMERICS.md.
      low: Expression for its smallest value, empty for none.
      high: Expression for its largest value, empty for none.
      unsigned: Whether it is a uint32.
      count: Of a tuple, how many there are; 0 for as many as there is room for.
    """

    note: str = ""
    low: str = ""
    high: str = ""
    unsigned: bool = False
    count: int = 0


@dataclass(frozen=True)
class Rule:
    """A condition on the fields of a struct.

    Attributes:
      name: What a message calls the value.
      value: Expression.
      low: Expression for its smallest value, empty for none.
      high: Expression for its largest value, empty for none.
    """

    name: str
    value: str
    low: str = ""
    high: str = ""


def terms(*shared: Mapping[str, str], **own: str) -> Mapping[str, str]:
    """The named expressions of a struct: shared ones and its own."""
    return {name: text for part in (*shared, own) for name, text in part.items()}


@dataclass(frozen=True)
class Member:
    """One declared field of a struct.

    Attributes:
      name: Its name.
      type: `int`, `float` or a struct.
      count: How many; 0 for as many as there is room for.
      is_array: Whether it is a tuple.
      number: What the number, or each of them, holds.
      default: Its default, `dataclasses.MISSING` without one.
    """

    name: str
    type: type[Any]
    count: int
    is_array: bool
    number: Number
    default: Any


@dataclass(frozen=True)
class Word:
    """One of a struct's 4-byte numbers.

    Attributes:
      path: How an expression names it: `size`, `geometry.in_h`, `axis[2].step`.
      code: Its format: i, I or f.
      number: What it holds.
    """

    path: str
    code: str
    number: Number


_S = TypeVar("_S", bound="Struct")


@dataclass(frozen=True)
class Struct:
    """Base of the structs."""

    CPP: ClassVar[str]
    """Its name in the C++ header."""
    TERMS: ClassVar[Mapping[str, str]] = {}
    """Expressions that others may name."""
    RULES: ClassVar[tuple[Rule, ...]] = ()
    """Conditions beside the limits of the fields."""

    def words(self) -> list[int]:
        """Its numbers as the int32 words that the kernels see."""
        data = self.pack_fields()
        return list(struct.unpack(f"<{len(data) // WORD}i", data))

    def pack_fields(self) -> bytes:
        """Its bytes, little endian."""
        values: list[Any] = []
        _collect(self, values)
        codes = "".join(word.code for word in words_of(type(self), self._repeats()))
        return struct.pack("<" + codes, *values)

    @classmethod
    def unpack_fields(cls, data: bytes) -> Self:
        """Reads the struct back.

        Raises:
          ValueError: The bytes are too many or too few.
        """
        once = WORD * len(words_of(cls))
        step = WORD * len(words_of(cls, 2)) - once
        repeats = max(1, (len(data) - once) // step + 1) if step else 1
        layout = struct.Struct("<" + "".join(w.code for w in words_of(cls, repeats)))
        if len(data) != layout.size:
            raise ValueError(f"{len(data)} bytes, expected {layout.size}")
        built = _build(cls, iter(layout.unpack(data)), repeats)
        assert isinstance(built, cls)
        return built

    def _repeats(self) -> int:
        repeated = [m for m in members_of(type(self)) if m.count == 0]
        return len(getattr(self, repeated[0].name)) if repeated else 1


@cached
def members_of(cls: type[Struct]) -> tuple[Member, ...]:
    """The declared fields of a struct."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return tuple(_member(f, hints[f.name]) for f in dataclasses.fields(cls))


def _member(f: dataclasses.Field[Any], hint: Any) -> Member:
    number = Number()
    if typing.get_origin(hint) is Annotated:
        hint, *notes = typing.get_args(hint)
        (number,) = notes[-1:]
    is_array = typing.get_origin(hint) is tuple
    if is_array:
        hint = typing.get_args(hint)[0]
    assert hint in (int, float) or issubclass(hint, Struct), f.name
    return Member(f.name, hint, number.count if is_array else 1, is_array, number, f.default)


@cached
def words_of(cls: type[Struct], repeats: int = 1) -> tuple[Word, ...]:
    """The struct's numbers in order, its repeated part `repeats` times."""
    return tuple(_words(cls, "", repeats))


def _words(cls: type[Struct], prefix: str, repeats: int) -> Iterator[Word]:
    for member in members_of(cls):
        count = member.count or repeats
        for i in range(count):
            path = f"{prefix}{member.name}[{i}]" if member.is_array else prefix + member.name
            if issubclass(member.type, Struct):
                yield from _words(member.type, path + ".", repeats)
            elif member.type is float:
                yield Word(path, "f", member.number)
            else:
                yield Word(path, "I" if member.number.unsigned else "i", member.number)


def names_of(cls: type[Struct]) -> dict[str, int]:
    """The index of each word by its path, and by its last name where that is the only one."""
    paths = [word.path for word in words_of(cls)]
    names = {path: i for i, path in enumerate(paths)}
    short = [path.rpartition(".")[2] for path in paths]
    names.update({s: i for i, s in enumerate(short) if short.count(s) == 1 and "]" not in s})
    return names


def number_of(cls: type[Struct], name: str) -> Number:
    """What a field holds, which is named as in an expression."""
    return words_of(cls)[names_of(cls)[name]].number


def with_field(part: _S, name: str, value: int) -> _S:
    """A struct with another number in one field, which is named as in an expression."""
    path = words_of(type(part))[names_of(type(part))[name]].path
    outer, _, inner = path.partition(".")
    new = with_field(getattr(part, outer), inner, value) if inner else value
    return dataclasses.replace(part, **{outer: new})


def field_of(part: Struct, name: str) -> int:
    """The number in a field, which is named as in an expression."""
    return part.words()[names_of(type(part))[name]]


def _collect(node: Any, values: list[Any]) -> None:
    if isinstance(node, tuple):
        for element in node:
            _collect(element, values)
    elif isinstance(node, Struct):
        for member in members_of(type(node)):
            value = getattr(node, member.name)
            assert not member.is_array or member.count in (0, len(value)), member.name
            _collect(value, values)
    else:
        values.append(node)


def _build(cls: type[Any], values: Iterator[Any], repeats: int) -> Any:
    if not issubclass(cls, Struct):
        return next(values)
    kwargs: dict[str, Any] = {}
    for member in members_of(cls):
        count = member.count or repeats
        parts = tuple(_build(member.type, values, repeats) for _ in range(count))
        kwargs[member.name] = parts if member.is_array else parts[0]
    return cls(**kwargs)
