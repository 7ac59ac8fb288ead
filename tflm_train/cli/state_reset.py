"""`tflm_train state reset`."""

from __future__ import annotations

import argparse
from pathlib import Path

from tflm_train.cli import shared, tables
from tflm_train.cli.command import Command, Parser
from tflm_train.cli.states import MODEL_HELP, WrittenState, load_blob, load_layout, write_blob


def _arguments(parser: Parser) -> None:
    parser.add_argument("state", help="where to write; replaces a state of this model")
    parser.add_argument("--model", required=True, help=MODEL_HELP)
    shared.add_force(parser)


def _run(arguments: argparse.Namespace) -> WrittenState:
    layout = load_layout(arguments.model)
    path = Path(arguments.state)
    if path.exists() and not arguments.force:
        # A state of another model is somebody else's work.
        layout.check(load_blob(arguments.state), arguments.state)
    return write_blob(path, layout.factory_state(), arguments.force)


COMMAND = Command(
    "reset",
    "Write the model's factory state to a file.",
    "",
    _arguments,
    _run,
    tables.show_record,
)
