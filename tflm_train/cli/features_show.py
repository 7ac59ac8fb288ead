"""`tflm_train features show`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from tflm_train.cli import tables
from tflm_train.cli.command import Command, Parser
from tflm_train.data.front_end import find_front_end, library_names, library_text


@dataclass(frozen=True)
class FrontEndContents:
    """A front end.

    Attributes:
      name: Its name, or its file.
      front_end: What it says, with the defaults for what it does not.
      shape: Of the features of a clip: frames and values of each.
      text: As YAML, which `--features` reads.
    """

    name: str
    front_end: dict[str, Any]
    shape: tuple[int, int]
    text: str


def _arguments(parser: Parser) -> None:
    parser.add_argument("name", help="of a front end (see `tflm_train features list`), or a file")


def _run(arguments: argparse.Namespace) -> FrontEndContents:
    name = arguments.name
    front_end = find_front_end(name)
    text = library_text(name) if name in library_names() else front_end.to_yaml()
    return FrontEndContents(name, front_end.to_dict(), front_end.shape, text)


def _show(result: FrontEndContents) -> None:
    tables.show_lines(result.text.splitlines())


COMMAND = Command(
    "show",
    "Print a front end as YAML, to be edited and given to --features.",
    "",
    _arguments,
    _run,
    _show,
)
