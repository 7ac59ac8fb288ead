"""`tflm_train state average`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from tflm_train.cli import shared, tables
from tflm_train.cli.command import Command, Parser
from tflm_train.cli.states import MODEL_HELP, WrittenState, load_blob, load_layout, write_blob
from tflm_train.trained.federated import WEIGHTINGS, average


@dataclass(frozen=True, kw_only=True)
class AveragedState(WrittenState):
    """The average of several states.

    Attributes:
      states: How many it is of.
    """

    states: int


def _arguments(parser: Parser) -> None:
    parser.add_argument("states", nargs="+", metavar="STATE", help="two saved states or more")
    parser.add_argument("--model", required=True, help=MODEL_HELP)
    parser.add_argument("-o", "--output", required=True, help="where to write the average")
    parser.add_argument(
        "--weighting",
        choices=WEIGHTINGS,
        default="equal",
        help="each state counts the same, or by the training steps it has taken",
    )
    shared.add_force(parser)


def _run(arguments: argparse.Namespace) -> AveragedState:
    layout = load_layout(arguments.model)
    blobs = [load_blob(name) for name in arguments.states]
    mean = average(layout, blobs, arguments.weighting, arguments.states)
    written = write_blob(Path(arguments.output), mean, arguments.force)
    return AveragedState(**vars(written), states=len(blobs))


COMMAND = Command(
    "average",
    "Average the states of several devices (federated averaging).",
    "All of one model. Weights are averaged with their residuals, in real precision.",
    _arguments,
    _run,
    tables.show_record,
)
