"""`tflm_train scheme list`."""

from __future__ import annotations

import argparse
from typing import Any

from tflm_train.cli import tables
from tflm_train.cli.command import Command, Parser
from tflm_train.scheme.library import library_names


def _arguments(parser: Parser) -> None:
    del parser  # It takes none.


def _run(arguments: argparse.Namespace) -> dict[str, Any]:
    del arguments
    return {"schemes": library_names()}


def _show(result: dict[str, Any]) -> None:
    tables.show_lines(result["schemes"])


COMMAND = Command(
    "list", "List the schemes that come with the package.", "", _arguments, _run, _show
)
