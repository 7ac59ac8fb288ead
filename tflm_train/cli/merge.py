"""`tflm_train merge`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from tflm_train.cli import shared, tables
from tflm_train.cli.command import Command, Parser
from tflm_train.cli.states import load_blob
from tflm_train.files import write_file
from tflm_train.model import load
from tflm_train.trained.merge import is_merged_model, merge
from tflm_train.trained.state import StateLayout
from tflm_train.trained.trainable_model import TrainableModel


@dataclass(frozen=True)
class Merged:
    """An inference model with trained weights.

    Attributes:
      output: Its file.
      bytes: The file's size.
      step: Training steps that the weights have taken.
    """

    output: str
    bytes: int
    step: int


def _arguments(parser: Parser) -> None:
    parser.add_argument("model", help="a rewritten .tflite file")
    parser.add_argument("--state", required=True, help="a saved state of this model")
    parser.add_argument("-o", "--output", required=True, help="where to write the model")
    shared.add_force(parser)


def _run(arguments: argparse.Namespace) -> Merged:
    source, output = Path(arguments.model), Path(arguments.output)
    shared.require_another_file(output, source)
    blob = load_blob(arguments.state)
    model = load(source)
    StateLayout(TrainableModel.read(model)).check(blob, arguments.state)
    data = merge(model, blob.pack())
    write_file(output, data, is_merged_model, arguments.force)
    return Merged(str(output), len(data), blob.step)


def _show(result: Merged) -> None:
    steps = tables.counted(result.step, "training step")
    tables.console().print(
        f"written: {result.output} ({tables.counted(result.bytes, 'byte')}), after {steps}",
        soft_wrap=True,
    )


COMMAND = Command(
    "merge",
    "Bake trained weights into an ordinary inference model.",
    "The result has no training ops: any TFLite runtime loads it, its outputs equal the\n"
    "trained interpreter's bit for bit, and `rewrite` takes it again.",
    _arguments,
    _run,
    _show,
)
