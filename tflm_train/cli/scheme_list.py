"""`tflm_train scheme list`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from tflm_train.cli import tables
from tflm_train.cli.command import Command, Parser
from tflm_train.scheme.library import library_names
from tflm_train.scheme.presets import Preset


@dataclass(frozen=True)
class SchemeNames:
    """The presets and the schemes that come with the package.

    Attributes:
      presets: What each preset trains, by its name; they fit any model.
      schemes: The names of the schemes, each for one model.
    """

    presets: dict[str, str]
    schemes: tuple[str, ...]


def _arguments(parser: Parser) -> None:
    del parser  # It takes none.


def _run(arguments: argparse.Namespace) -> SchemeNames:
    del arguments
    return SchemeNames({str(p): p.summary for p in Preset}, tuple(library_names()))


def _show(result: SchemeNames) -> None:
    tables.show_lines(
        ["presets, for any model (`--preset NAME`; `scheme show NAME --model M` lists the layers):"]
    )
    tables.show_lines(f"  {name:8}{summary}" for name, summary in result.presets.items())
    tables.show_lines(["schemes of the paper, each for the network it names (`--scheme NAME`):"])
    tables.show_lines(f"  {name}" for name in result.schemes)


COMMAND = Command(
    "list",
    "List the presets, and the schemes that come with the package.",
    "",
    _arguments,
    _run,
    _show,
)
