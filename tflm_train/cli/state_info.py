"""`tflm_train state info`."""

from __future__ import annotations

import argparse
from typing import Any

from tflm_train.cli.command import Command, Parser
from tflm_train.cli.states import MODEL_HELP, header, load_blob, show_with_variables
from tflm_train.model import load
from tflm_train.runtime.state import Array, StateLayout


def _arguments(parser: Parser) -> None:
    parser.add_argument("state", help="a saved state")
    parser.add_argument("--model", help=MODEL_HELP)


def _run(arguments: argparse.Namespace) -> dict[str, Any]:
    blob, name = load_blob(arguments.state), arguments.state
    summary = {"file": name, **header(blob)}
    if arguments.model:
        layout = StateLayout(load(arguments.model))
        values = layout.values(blob, name)
        summary["variables"] = [
            {"name": t.name, "type": t.type_name, "shape": list(t.shape), **_range(value)}
            for t, value in zip(layout.variables, values, strict=True)
        ]
    return summary


def _range(value: Array) -> dict[str, Any]:
    return {"min": value.min().item(), "max": value.max().item()}


COMMAND = Command(
    "info",
    "Show a state's header; with --model its variables too.",
    "",
    _arguments,
    _run,
    show_with_variables,
)
