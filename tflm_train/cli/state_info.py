"""`tflm_train state info`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from tflm_train.cli import tables
from tflm_train.cli.command import Command, Parser
from tflm_train.cli.states import MODEL_HELP, StateHeader, header, load_blob, load_layout
from tflm_train.errors import DataError
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
      model: The model that it belongs to, with `--model`.
      variables: What it holds, with `--model`.
    """

    file: str
    model: str | None = sometimes()
    variables: tuple[VariableInfo, ...] | None = sometimes()


def _arguments(parser: Parser) -> None:
    parser.add_argument("state", help="a saved state")
    parser.add_argument("--model", help=f"{MODEL_HELP}; any other is refused")
    parser.add_argument(
        "--tensors",
        action="store_true",
        help="a table of its tensors with their smallest and largest values; needs --model",
    )


def _run(arguments: argparse.Namespace) -> StateInfo:
    blob, name = load_blob(arguments.state), arguments.state
    if arguments.tensors and not arguments.model:
        raise DataError("--tensors needs --model: a state does not name its tensors")
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
        if not arguments.tensors and not arguments.json:
            variables = None
    return StateInfo(**vars(header(blob)), file=name, model=arguments.model, variables=variables)


def _show(result: StateInfo) -> None:
    belongs = "" if result.model is None else f", belongs to {result.model}"
    for line in (
        f"{result.file}: {tables.counted(result.step, 'training step')}{belongs}",
        f"{tables.counted(result.bytes, 'byte')}; fingerprint {result.fingerprint}, by which its "
        f"model knows it; seed {result.seed}, of steps that round at random (4 or 0 residual "
        "bits)",
    ):
        tables.console().print(line, soft_wrap=True)
    tables.show_records("tensors", result.variables or ())


COMMAND = Command(
    "info",
    "Tell how far a state is trained; with --model, whether it belongs to that model.",
    "",
    _arguments,
    _run,
    _show,
)
