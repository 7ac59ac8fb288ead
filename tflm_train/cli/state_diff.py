"""`tflm_train state diff`."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from tflm_train.cli.command import Command, Parser
from tflm_train.cli.states import MODEL_HELP, load_blob, show_with_variables
from tflm_train.model import load
from tflm_train.runtime.state import Array, StateLayout


def _arguments(parser: Parser) -> None:
    parser.add_argument("state", help="a saved state")
    parser.add_argument("other", help="another one")
    parser.add_argument("--model", help=f"{MODEL_HELP}: compare variable by variable")


def _run(arguments: argparse.Namespace) -> dict[str, Any]:
    names = (arguments.state, arguments.other)
    first, second = (load_blob(name) for name in names)
    summary: dict[str, Any] = {
        "same_model": first.fingerprint == second.fingerprint,
        "identical": first == second,
        "steps": [first.step, second.step],
    }
    if arguments.model:
        layout = StateLayout(load(arguments.model))
        pairs = zip(layout.values(first, names[0]), layout.values(second, names[1]), strict=True)
        summary["variables"] = [
            {"name": t.name, "elements": t.size, **_difference(a, b)}
            for t, (a, b) in zip(layout.variables, pairs, strict=True)
        ]
    elif len(first.payload) == len(second.payload):
        a, b = (np.frombuffer(blob.payload, np.uint8) for blob in (first, second))
        summary["bytes"] = a.size
        summary["bytes_changed"] = int(np.count_nonzero(a != b))
    return summary


def _difference(a: Array, b: Array) -> dict[str, Any]:
    distance = np.abs(a.astype(np.float64) - b.astype(np.float64))
    return {
        "changed": int(np.count_nonzero(distance)),
        "largest": float(distance.max()),
        "mean": float(distance.mean()),
    }


COMMAND = Command("diff", "Tell how two states differ.", "", _arguments, _run, show_with_variables)
