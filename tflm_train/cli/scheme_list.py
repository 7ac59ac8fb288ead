"""`tflm_train scheme list`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from tflm_train.cli import tables
from tflm_train.cli.command import Command, Parser
from tflm_train.scheme.library import library_names


@dataclass(frozen=True)
class SchemeNames:
    """The schemes that come with the package.

    Attributes:
      schemes: Their names.
    """

    schemes: tuple[str, ...]


def _arguments(parser: Parser) -> None:
    del parser  # It takes none.


def _run(arguments: argparse.Namespace) -> SchemeNames:
    del arguments
    return SchemeNames(tuple(library_names()))


def _show(result: SchemeNames) -> None:
    tables.show_lines(result.schemes)


COMMAND = Command(
    "list", "List the schemes that come with the package.", "", _arguments, _run, _show
)
