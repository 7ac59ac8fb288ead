"""`tflm_train state info`."""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass

from tflm_train.cli import tables
from tflm_train.cli.command import Command, Parser
from tflm_train.cli.states import MODEL_HELP, StateHeader, header, load_blob, load_layout
from tflm_train.records import sometimes


@dataclass(frozen=True)
class VariableInfo:
    """A variable of a state.

    Attributes:
      name: Its name, with `/1`, `/2` and so on behind it where several have the same.
      type: `INT8`, `INT32` or `FLOAT32`.
      shape: Elements along each axis.
      min: Its smallest value.
      max: Its largest.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    min: float
    max: float


@dataclass(frozen=True, kw_only=True)
class StateInfo(StateHeader):
    """A saved state.

    Attributes:
      file: Where it is.
      variables: What it holds, with `--model`.
    """

    file: str
    variables: tuple[VariableInfo, ...] | None = sometimes()


def _arguments(parser: Parser) -> None:
    parser.add_argument("state", help="a saved state")
    parser.add_argument("--model", help=MODEL_HELP)


def _run(arguments: argparse.Namespace) -> StateInfo:
    blob, name = load_blob(arguments.state), arguments.state
    variables = None
    if arguments.model:
        layout = load_layout(arguments.model)
        values = layout.values(blob, name)
        variables = tuple(
            VariableInfo(
                name=variable.key,
                type=variable.tensor.type_name,
                shape=tuple(variable.tensor.shape),
                min=value.min().item(),
                max=value.max().item(),
            )
            for variable, value in zip(layout.model.variables, values, strict=True)
        )
    return StateInfo(**vars(header(blob)), file=name, variables=variables)


def _show(result: StateInfo) -> None:
    tables.show_record(dataclasses.replace(result, variables=None))
    tables.show_records("variables", result.variables or ())


COMMAND = Command(
    "info",
    "Show a state's header; with --model its variables too.",
    "",
    _arguments,
    _run,
    _show,
)
