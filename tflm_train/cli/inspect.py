"""`tflm_train inspect`."""

from __future__ import annotations

import argparse
from typing import Any

from tflm_train.cli import shared, tables
from tflm_train.cli.command import Command, Parser
from tflm_train.model import load
from tflm_train.rewriter.inspection import inspect_model
from tflm_train.scheme.resolve import find_output


def _arguments(parser: Parser) -> None:
    parser.add_argument("model", help="a .tflite file")
    parser.add_argument(
        "--output", default="0", help="index or name of the output to train (default: 0)"
    )
    shared.add_kernels(parser)


def _run(arguments: argparse.Namespace) -> dict[str, Any]:
    model = load(arguments.model)
    chosen = arguments.output
    output = find_output(int(chosen) if chosen.isdecimal() else chosen, model)
    return inspect_model(model, arguments.kernels, output)


COMMAND = Command(
    "inspect",
    "List a model's layers, what training each would cost, or why it cannot train.",
    "Layers are numbered over CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED and TRANSPOSE_CONV\n"
    "in execution order from 0; schemes use these numbers, or the names.",
    _arguments,
    _run,
    tables.show_inspection,
)
