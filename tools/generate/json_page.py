"""What `--json` prints: docs/JSON.md, made from the classes of the commands' results."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Iterator
from typing import Any

from tflm_train.cli.command import Command, Group
from tflm_train.cli.commands import COMMANDS
from tflm_train.records import is_sometimes, key_of

_HEAD = """\
# What `--json` prints

Made by `python -m tools.generate`; do not edit.

With `--json` a command prints one line, a JSON object, instead of tables. Sizes are in bytes. A key
marked with ° is left out where it has nothing to say. Later versions may add keys; they keep these.
"""
_NAMES = {int: "integer", float: "number", str: "string", bool: "true or false", Any: "any"}
_ATTRIBUTE = re.compile(r"^  (\w+): (.*(?:\n    .*)*)", re.MULTILINE)


def json_page() -> str:
    """The page as Markdown."""
    sections = [_HEAD]
    records: dict[str, type] = {}
    for name, command in _all_commands():
        sections.append(f"## `tflm_train {name}`\n\n{_table(command.result)}")
        _collect(command.result, records)
    sections.append("## The records within\n")
    for name in sorted(records):
        sections.append(f"### {name}\n\n{_table(records[name])}")
    return "\n".join(sections)


def _all_commands() -> Iterator[tuple[str, Command[Any]]]:
    for entry in COMMANDS:
        if isinstance(entry, Group):
            for command in entry.commands:
                yield f"{entry.name} {command.name}", command
        else:
            yield entry.name, entry


def _table(record: type) -> str:
    """What a record is, and a row for each key."""
    texts, hints = _texts(record), typing.get_type_hints(record)
    lines = [_summary(record), "", "| key | value | meaning |", "|---|---|---|"]
    for field in dataclasses.fields(record):
        mark = "°" if is_sometimes(field) else ""
        hint = _without_none(hints[field.name]) if mark else hints[field.name]
        lines.append(f"| `{key_of(field)}`{mark} | {_type(hint)} | {texts[field.name]} |")
    return "\n".join([*lines, ""])


def _summary(record: type) -> str:
    return (inspect.getdoc(record) or "").split("\n\n")[0].replace("\n", " ")


def _texts(record: type) -> dict[str, str]:
    """The meaning of each field, from the docstrings of the class and of those that it extends."""
    texts: dict[str, str] = {}
    for owner in reversed(record.__mro__):
        if dataclasses.is_dataclass(owner):
            _, _, attributes = (inspect.getdoc(owner) or "").partition("Attributes:\n")
            for name, text in _ATTRIBUTE.findall(attributes):
                texts[name] = " ".join(text.split())
    return texts


def _type(hint: Any) -> str:
    """A field's type in words of JSON."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        name = typing.cast(type, hint).__name__
        return f"[{name}](#{name.lower()})"
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"object, by name: {_type(arguments[1])}"
    if origin in (types.UnionType, typing.Union):
        return f"{_type(_without_none(hint))}, or null"
    return _NAMES[hint]


def _without_none(hint: Any) -> Any:
    rest = [argument for argument in typing.get_args(hint) if argument is not type(None)]
    return rest[0]


def _collect(hint: Any, found: dict[str, type]) -> None:
    """Adds the records within a record to those found."""
    for inner in typing.get_type_hints(hint).values() if dataclasses.is_dataclass(hint) else ():
        for part in (inner, *_parts(inner)):
            if dataclasses.is_dataclass(part):
                record = typing.cast(type, part)
                found[record.__name__] = record
                _collect(record, found)


def _parts(hint: Any) -> Iterator[Any]:
    for argument in typing.get_args(hint):
        yield argument
        yield from _parts(argument)
