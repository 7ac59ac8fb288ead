"""`tflm_train features list`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from tflm_train.cli import tables
from tflm_train.cli.command import Command, Parser
from tflm_train.data.front_end import find_front_end, library_names, library_text


@dataclass(frozen=True)
class FrontEndName:
    """A front end that comes with the package.

    Attributes:
      name: What `--features` takes.
      summary: What it is.
      shape: Of the features of a clip: frames and values of each.
      sample_rate: Of the recordings, in Hz; others are resampled to it.
    """

    name: str
    summary: str
    shape: tuple[int, int]
    sample_rate: int


@dataclass(frozen=True)
class FrontEndNames:
    """The front ends that come with the package.

    Attributes:
      front_ends: By name.
    """

    front_ends: tuple[FrontEndName, ...]


def _arguments(parser: Parser) -> None:
    del parser  # It takes none.


def _run(arguments: argparse.Namespace) -> FrontEndNames:
    del arguments
    found = []
    for name in library_names():
        front_end = find_front_end(name)
        summary = library_text(name).splitlines()[0].removeprefix("# ").rstrip(".")
        found.append(FrontEndName(name, summary, front_end.shape, front_end.sample_rate))
    return FrontEndNames(tuple(found))


def _show(result: FrontEndNames) -> None:
    tables.show_lines(
        f"  {each.name:17}{tables.shape(each.shape):9}{each.summary}" for each in result.front_ends
    )


COMMAND = Command(
    "list",
    "List the front ends that come with the package.",
    "",
    _arguments,
    _run,
    _show,
)
