"""The commands about trained states: `tflm_train state` and `tflm_train merge`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tflm_train import tables
from tflm_train.errors import TflmTrainError
from tflm_train.files import is_state, read_state, write_file
from tflm_train.merge import is_merged_model, merge
from tflm_train.model import load
from tflm_train.runtime.federated import WEIGHTINGS, average
from tflm_train.runtime.state import Array, StateBlob, StateLayout

AddParser = Callable[[Any, str, str, str], Any]
"""`cli._add`: subparsers, name, summary, details."""

_MODEL_HELP = "the rewritten .tflite file that the state belongs to"


def add_parsers(subparsers: Any, add: AddParser) -> None:
    """Adds `state` and `merge` to the command line."""
    _add_state(subparsers, add)
    _add_merge(subparsers, add)


def info(arguments: argparse.Namespace) -> dict[str, Any]:
    """`tflm_train state info`."""
    blob, name = _load(arguments.state), arguments.state
    summary = {"file": name, **_header(blob)}
    if arguments.model:
        layout = StateLayout(load(arguments.model))
        values = layout.values(blob, name)
        summary["variables"] = [
            {"name": t.name, "type": t.type_name, "shape": list(t.shape), **_range(value)}
            for t, value in zip(layout.variables, values, strict=True)
        ]
    if not arguments.json:
        tables.show_mapping({k: v for k, v in summary.items() if k != "variables"})
        tables.show_records("variables", summary.get("variables", []))
    return summary


def diff(arguments: argparse.Namespace) -> dict[str, Any]:
    """`tflm_train state diff`."""
    names = (arguments.state, arguments.other)
    first, second = (_load(name) for name in names)
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
    if not arguments.json:
        tables.show_mapping({k: v for k, v in summary.items() if k != "variables"})
        tables.show_records("variables", summary.get("variables", []))
    return summary


def reset(arguments: argparse.Namespace) -> dict[str, Any]:
    """`tflm_train state reset`."""
    layout = StateLayout(load(arguments.model))
    path = Path(arguments.state)
    if path.exists() and not arguments.force:
        # A state of another model is somebody else's work.
        layout.check(_load(arguments.state), arguments.state)
    return _write(path, layout.factory_state(), arguments)


def average_states(arguments: argparse.Namespace) -> dict[str, Any]:
    """`tflm_train state average`."""
    layout = StateLayout(load(arguments.model))
    blobs = [_load(name) for name in arguments.states]
    mean = average(layout, blobs, arguments.weighting, arguments.states)
    return _write(Path(arguments.output), mean, arguments) | {"states": len(blobs)}


def merge_state(arguments: argparse.Namespace) -> dict[str, Any]:
    """`tflm_train merge`."""
    source, output = Path(arguments.model), Path(arguments.output)
    if output.resolve() == source.resolve():
        raise TflmTrainError(f"{output} is the input model itself; choose another name with -o")
    blob = _load(arguments.state)
    model = load(source)
    StateLayout(model).check(blob, arguments.state)
    data = merge(model, blob.pack())
    write_file(output, data, is_merged_model, arguments.force)
    summary = {"output": str(output), "bytes": len(data), "step": blob.step}
    if not arguments.json:
        tables.show_mapping(summary)
    return summary


def _add_state(subparsers: Any, add: AddParser) -> None:
    parser = add(
        subparsers,
        "state",
        "Look into saved states, compare, reset or average them.",
        "A state is what `train --save-state` and the firmware's StateSave write: one format.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    shown = add(actions, "info", "Show a state's header; with --model its variables too.", "")
    shown.add_argument("state", help="a saved state")
    shown.add_argument("--model", help=_MODEL_HELP)
    shown.set_defaults(function=info)

    compared = add(actions, "diff", "Tell how two states differ.", "")
    compared.add_argument("state", help="a saved state")
    compared.add_argument("other", help="another one")
    compared.add_argument("--model", help=f"{_MODEL_HELP}: compare variable by variable")
    compared.set_defaults(function=diff)

    cleared = add(actions, "reset", "Write the model's factory state to a file.", "")
    cleared.add_argument("state", help="where to write; replaces a state of this model")
    cleared.add_argument("--model", required=True, help=_MODEL_HELP)
    cleared.add_argument("--force", action="store_true", help="overwrite files that are not ours")
    cleared.set_defaults(function=reset)

    averaged = add(
        actions,
        "average",
        "Average the states of several devices (federated averaging).",
        "All of one model. Weights are averaged with their residuals, in real precision.",
    )
    averaged.add_argument("states", nargs="+", metavar="STATE", help="two saved states or more")
    averaged.add_argument("--model", required=True, help=_MODEL_HELP)
    averaged.add_argument("-o", "--output", required=True, help="where to write the average")
    averaged.add_argument(
        "--weighting",
        choices=WEIGHTINGS,
        default="equal",
        help="each state counts the same, or by the training steps it has taken",
    )
    averaged.add_argument("--force", action="store_true", help="overwrite files that are not ours")
    averaged.set_defaults(function=average_states)


def _add_merge(subparsers: Any, add: AddParser) -> None:
    parser = add(
        subparsers,
        "merge",
        "Bake trained weights into an ordinary inference model.",
        "The result has no training ops: any TFLite runtime loads it, its outputs equal the\n"
        "trained interpreter's bit for bit, and `rewrite` takes it again.",
    )
    parser.add_argument("model", help="a rewritten .tflite file")
    parser.add_argument("--state", required=True, help="a saved state of this model")
    parser.add_argument("-o", "--output", required=True, help="where to write the model")
    parser.add_argument("--force", action="store_true", help="overwrite files that are not ours")
    parser.set_defaults(function=merge_state)


def _load(name: str) -> StateBlob:
    return StateBlob.parse(read_state(Path(name)), name)


def _write(path: Path, blob: StateBlob, arguments: argparse.Namespace) -> dict[str, Any]:
    write_file(path, blob.pack(), is_state, arguments.force)
    summary = {"output": str(path), **_header(blob)}
    if not arguments.json:
        tables.show_mapping(summary)
    return summary


def _header(blob: StateBlob) -> dict[str, Any]:
    return {
        "fingerprint": f"{blob.fingerprint:016x}",
        "step": blob.step,
        "seed": blob.seed,
        "bytes": len(blob.pack()),
    }


def _range(value: Array) -> dict[str, Any]:
    return {"min": value.min().item(), "max": value.max().item()}


def _difference(a: Array, b: Array) -> dict[str, Any]:
    distance = np.abs(a.astype(np.float64) - b.astype(np.float64))
    return {
        "changed": int(np.count_nonzero(distance)),
        "largest": float(distance.max()),
        "mean": float(distance.mean()),
    }
