"""What a command declares, and how the parser learns of it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, get_type_hints

Result = TypeVar("Result")
"""A command's result: a frozen dataclass, whose docstring says what its fields mean."""

Parser = Any
"""An `argparse.ArgumentParser`; absl's is one at run time but not for the type checker."""


@dataclass(frozen=True)
class Command(Generic[Result]):
    """One command: a file of this folder declares it as `COMMAND`.

    Attributes:
      name: What the user types.
      summary: One line for the list of commands.
      details: What its own help says below the summary; may be empty.
      arguments: Adds its arguments to a parser.
      run: Does the work, files written included, and returns what `--json` prints as a record
        (tflm_train/records.py). It prints nothing but progress, and that on standard error.
      show: Prints the result for people.
    """

    name: str
    summary: str
    details: str
    arguments: Callable[[Parser], None]
    run: Callable[[argparse.Namespace], Result]
    show: Callable[[Result], None]

    @property
    def result(self) -> type[Result]:
        """The class of its result."""
        found: type[Result] = get_type_hints(self.run)["return"]
        return found


@dataclass(frozen=True)
class Group:
    """Commands behind a common first word: `state info`, `state diff`.

    Attributes:
      name: The first word.
      summary: One line for the list of commands.
      details: What its own help says below the summary.
      commands: What may follow.
    """

    name: str
    summary: str
    details: str
    commands: tuple[Command[Any], ...]


def add_to(subparsers: Any, entry: Command[Any] | Group) -> None:
    """Adds a command, or a group with all of its own, to the parser.

    Args:
      subparsers: What `ArgumentParser.add_subparsers` returned.
      entry: The command or group. The parsed arguments have the command as `command`, and `json`.
    """
    parser = _add_parser(subparsers, entry, False)
    if isinstance(entry, Command):
        _fill(parser, entry)
        return
    actions = parser.add_subparsers(required=True, metavar="ACTION", dest="action")
    for command in entry.commands:
        # Without a default of its own, `state --json info` means what `state info --json` does.
        _fill(_add_parser(actions, command, argparse.SUPPRESS), command)


def _add_parser(subparsers: Any, entry: Command[Any] | Group, json_default: bool | str) -> Parser:
    parser = subparsers.add_parser(
        entry.name,
        help=entry.summary,
        description=f"{entry.summary}\n\n{entry.details}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        inherited_absl_flags=None,
    )
    parser.add_argument(
        "--json",
        action="store_true",
        default=json_default,
        help="print one JSON object instead of tables",
    )
    return parser


def _fill(parser: Parser, command: Command[Any]) -> None:
    command.arguments(parser)
    parser.set_defaults(command=command)
