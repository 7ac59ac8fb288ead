"""`tflm_train scheme show`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from tflm_train.cli import tables
from tflm_train.cli.command import Command, Parser
from tflm_train.scheme import Scheme
from tflm_train.scheme.library import library_text


@dataclass(frozen=True)
class SchemeContents:
    """A scheme that comes with the package.

    Attributes:
      name: Its name.
      scheme: What it says, with the defaults for what it does not.
    """

    name: str
    scheme: dict[str, Any]


def _arguments(parser: Parser) -> None:
    parser.add_argument("name", help="of the scheme to show (see `tflm_train scheme list`)")


def _run(arguments: argparse.Namespace) -> SchemeContents:
    text = library_text(arguments.name)
    return SchemeContents(arguments.name, Scheme.parse(text).to_dict())


def _show(result: SchemeContents) -> None:
    # The file with its comments, which the parsed scheme has lost.
    tables.show_lines(library_text(result.name).splitlines())


COMMAND = Command("show", "Show a scheme that comes with the package.", "", _arguments, _run, _show)
