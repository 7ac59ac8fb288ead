"""`tflm_train memory`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tflm_train.cli import shared, tables
from tflm_train.cli.command import Command, Parser
from tflm_train.files import is_png, write_file
from tflm_train.memory import memory_report
from tflm_train.memory.plot import draw_memory
from tflm_train.model import load


def _arguments(parser: Parser) -> None:
    parser.add_argument("model", help="a .tflite file, original or rewritten")
    shared.add_kernels(parser)
    parser.add_argument("--plot", metavar="FILE", help="draw the arena over time (PNG)")
    shared.add_force(parser)


def _run(arguments: argparse.Namespace) -> dict[str, Any]:
    model = load(arguments.model)
    report = memory_report(model, arguments.kernels)
    summary: dict[str, Any] = report.to_dict()
    summary["flash"] = {"model_bytes": len(model.source)}
    if arguments.plot:
        path = Path(arguments.plot)
        write_file(path, draw_memory(report), is_png, arguments.force)
        summary["plot"] = str(path)
    return summary


COMMAND = Command(
    "memory",
    "Predict the arena a model takes on a Cortex-M, to the byte, and what it is made of.",
    "The total is what arena_used_bytes() will return; the peak names the tensors to blame.",
    _arguments,
    _run,
    tables.show_memory,
)
