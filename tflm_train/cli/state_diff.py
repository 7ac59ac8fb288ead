"""`tflm_train state diff`."""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass

import numpy as np

from tflm_train.cli import tables
from tflm_train.cli.command import Command, Parser
from tflm_train.cli.states import MODEL_HELP, load_blob, load_layout
from tflm_train.records import sometimes
from tflm_train.trained.state import Array
from tflm_train.trained.trainable_model import Variable


@dataclass(frozen=True)
class VariableDiff:
    """How a variable of two states differs.

    Attributes:
      name: Its name, with `/1`, `/2` and so on behind it where several have the same.
      elements: How many elements it has.
      changed: How many of them differ.
      largest: The largest difference, in the variable's own steps.
      mean: The mean difference over all elements, likewise.
    """

    name: str
    elements: int
    changed: int
    largest: float
    mean: float


@dataclass(frozen=True)
class StateDiff:
    """How two states differ.

    Attributes:
      same_model: Whether both belong to one model and scheme.
      identical: Whether they are the same, header included.
      steps: Training steps that the first and the second have taken.
      variables: Variable by variable, with `--model`.
      bytes: Size of their variables, without `--model` and where they are equally long.
      bytes_changed: How many of these bytes differ.
    """

    same_model: bool
    identical: bool
    steps: tuple[int, int]
    variables: tuple[VariableDiff, ...] | None = sometimes()
    bytes: int | None = sometimes()
    bytes_changed: int | None = sometimes()


def _arguments(parser: Parser) -> None:
    parser.add_argument("state", help="a saved state")
    parser.add_argument("other", help="another one")
    parser.add_argument("--model", help=f"{MODEL_HELP}: compare variable by variable")


def _run(arguments: argparse.Namespace) -> StateDiff:
    names = (arguments.state, arguments.other)
    first, second = (load_blob(name) for name in names)
    variables = size = changed = None
    if arguments.model:
        layout = load_layout(arguments.model)
        pairs = zip(layout.values(first, names[0]), layout.values(second, names[1]), strict=True)
        variables = tuple(
            _difference(v, a, b) for v, (a, b) in zip(layout.model.variables, pairs, strict=True)
        )
    elif len(first.payload) == len(second.payload):
        a, b = (np.frombuffer(blob.payload, np.uint8) for blob in (first, second))
        size, changed = a.size, int(np.count_nonzero(a != b))
    return StateDiff(
        same_model=first.fingerprint == second.fingerprint,
        identical=first == second,
        steps=(first.step, second.step),
        variables=variables,
        bytes=size,
        bytes_changed=changed,
    )


def _difference(variable: Variable, a: Array, b: Array) -> VariableDiff:
    distance = np.abs(a.astype(np.float64) - b.astype(np.float64))
    return VariableDiff(
        name=variable.key,
        elements=variable.tensor.size,
        changed=int(np.count_nonzero(distance)),
        largest=float(distance.max()),
        mean=float(distance.mean()),
    )


def _show(result: StateDiff) -> None:
    tables.show_record(dataclasses.replace(result, variables=None))
    tables.show_records("variables", result.variables or ())


COMMAND = Command("diff", "Tell how two states differ.", "", _arguments, _run, _show)
