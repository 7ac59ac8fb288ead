"""`tflm_train optimize`."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np

from tflm_train.cli import shared, tables
from tflm_train.cli.command import Command, Parser
from tflm_train.errors import DataError, RuntimeFailure
from tflm_train.files import is_optimized_model, write_file
from tflm_train.memory import KernelSet
from tflm_train.model import Model, load
from tflm_train.rewriter.optimize import Choice, Forward, Streaming, optimize
from tflm_train.runtime.interpreter import Interpreter

_CHECKED_INPUTS = 3


def _arguments(parser: Parser) -> None:
    parser.add_argument("model", help="an int8 .tflite file")
    parser.add_argument("-o", "--output", required=True, help="where to write")
    parser.add_argument(
        "--max-slowdown",
        type=float,
        default=math.inf,
        metavar="X",
        help="largest estimated time of the layers relative to the builtin ones (default: any)",
    )
    shared.add_kernels(parser)
    parser.add_argument(
        "--plot", metavar="STEM", help="draw the arena over time: STEM_before.png, STEM_after.png"
    )
    shared.add_force(parser)
    shared.add_forward(parser, Streaming.AUTO, Forward.AUTO)


def _run(arguments: argparse.Namespace) -> dict[str, Any]:
    source, output = Path(arguments.model), Path(arguments.output)
    shared.require_another_file(output, source)
    if not arguments.max_slowdown >= 1:
        raise DataError(f"--max-slowdown {arguments.max_slowdown} must be at least 1")
    model = load(source)
    choice = Choice(
        Streaming(arguments.stream),
        Forward(arguments.forward),
        arguments.max_slowdown,
        KernelSet(arguments.kernels),
    )
    result = optimize(model, choice)
    _require_same_outputs(model, Model(result.model_bytes, output.name))
    write_file(output, result.model_bytes, is_optimized_model, arguments.force)
    summary: dict[str, Any] = {
        "output": str(output),
        "kernels": str(choice.kernels),
        "arena_before": result.before.arena(),
        "arena": result.after.arena(),
        "peak": result.after.peak(),
        "macs_before": result.macs_before,
        "macs": result.macs_after,
        "folded_pads": result.folded_pads,
        "streams": result.streams,
        "slowdown": result.slowdown,
        "flash": {
            "original_bytes": len(model.source),
            "optimized_bytes": len(result.model_bytes),
        },
    }
    if arguments.plot:
        summary["plots"] = shared.draw_both(
            arguments.plot, result.before, result.after, arguments.force
        )
    return summary


def _require_same_outputs(model: Model, optimized: Model) -> None:
    """Compares the two in the interpreter; a difference would be a bug of ours."""
    before, after = Interpreter(model), Interpreter(optimized)
    rng = np.random.default_rng(0)
    for _ in range(_CHECKED_INPUTS):
        inputs = [_random_input(t.dtype, t.shape, rng) for t in model.graph.inputs]
        before.infer(*inputs)
        after.infer(*inputs)
        for index, tensor in enumerate(model.graph.outputs):
            if not np.array_equal(before.output(index), after.output(index), equal_nan=False):
                raise RuntimeFailure(
                    f"{model.name}: output {tensor.name!r} of the optimized model differs; nothing "
                    "was written, please report it"
                )


def _random_input(
    dtype: np.dtype[Any] | None, shape: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray[Any, Any]:
    """Random values over the whole range of an integer type, of a normal distribution else."""
    if dtype is None:
        raise DataError("the model has an input of a type that numpy does not know")
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    return rng.normal(size=shape).astype(dtype)


COMMAND = Command(
    "optimize",
    "Make a model's inference take less RAM; its outputs stay the same, bit for bit.",
    "Runs of layers become one custom op each that keeps only the rows still needed, and\n"
    "requantization constants stay in flash. Firmware registers the op TFLM_TRAIN_STREAM.",
    _arguments,
    _run,
    tables.show_optimized,
)
