"""The command that makes inference take less memory: `tflm_train optimize`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tflm_train import tables
from tflm_train.errors import DataError, RuntimeFailure, TflmTrainError
from tflm_train.files import is_optimized_model, is_png, write_file
from tflm_train.memory import KernelSet, MemoryReport
from tflm_train.memory.plot import draw_memory
from tflm_train.model import Model, load
from tflm_train.rewriter.optimize import Choice, Forward, Streaming
from tflm_train.rewriter.optimize import optimize as optimize_model
from tflm_train.runtime.interpreter import Interpreter

AddParser = Callable[[Any, str, str, str], Any]
"""`cli._add`: subparsers, name, summary, details."""

_CHECKED_INPUTS = 3


def add_parsers(subparsers: Any, add: AddParser) -> None:
    """Adds `optimize` to the command line."""
    parser = add(
        subparsers,
        "optimize",
        "Make a model's inference take less RAM; its outputs stay the same, bit for bit.",
        "Runs of layers become one custom op each that keeps only the rows still needed, and\n"
        "requantization constants stay in flash. Firmware registers the op TFLM_TRAIN_STREAM.",
    )
    parser.add_argument("model", help="an int8 .tflite file")
    parser.add_argument("-o", "--output", required=True, help="where to write")
    parser.add_argument(
        "--max-slowdown",
        type=float,
        default=math.inf,
        metavar="X",
        help="largest estimated time of the layers relative to the builtin ones (default: any)",
    )
    parser.add_argument(
        "--kernels",
        choices=[str(kernels) for kernels in KernelSet],
        default=str(KernelSet.CMSIS_NN),
        help="what runs the builtin operators (default: cmsis_nn)",
    )
    parser.add_argument(
        "--plot", metavar="STEM", help="draw the arena over time: STEM_before.png, STEM_after.png"
    )
    parser.add_argument("--force", action="store_true", help="overwrite files that are not ours")
    add_choices(parser, Streaming.AUTO, Forward.AUTO)
    parser.set_defaults(function=optimize)


def add_choices(parser: Any, stream: Streaming, forward: Forward) -> None:
    """Adds --stream and --forward with their defaults."""
    parser.add_argument(
        "--stream",
        choices=[str(s) for s in Streaming],
        default=str(stream),
        help=f"runs of layers as one op that keeps few rows (default: {stream})",
    )
    parser.add_argument(
        "--forward",
        choices=[str(f) for f in Forward],
        default=str(forward),
        help="other layers: the builtin op, ours with its constants in flash, or whichever takes "
        f"less RAM (default: {forward})",
    )


def optimize(arguments: argparse.Namespace) -> dict[str, Any]:
    """`tflm_train optimize`."""
    source, output = Path(arguments.model), Path(arguments.output)
    if output.resolve() == source.resolve():
        raise TflmTrainError(f"{output} is the input model itself; choose another name with -o")
    if not arguments.max_slowdown >= 1:
        raise DataError(f"--max-slowdown {arguments.max_slowdown} must be at least 1")
    model = load(source)
    choice = Choice(
        Streaming(arguments.stream),
        Forward(arguments.forward),
        arguments.max_slowdown,
        KernelSet(arguments.kernels),
    )
    result = optimize_model(model, choice)
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
        summary["plots"] = draw_both(arguments, result.before, result.after)
    if not arguments.json:
        tables.show_optimized(summary)
    return summary


def draw_both(
    arguments: argparse.Namespace, before: MemoryReport, after: MemoryReport
) -> list[str]:
    """Writes the pictures of `--plot STEM`; returns the files' names."""
    plots = []
    for name, report in (("before", before), ("after", after)):
        path = Path(f"{arguments.plot}_{name}.png")
        write_file(path, draw_memory(report), is_png, arguments.force)
        plots.append(str(path))
    return plots


def _require_same_outputs(model: Model, optimized: Model) -> None:
    """Compares the two in the interpreter; a difference would be a bug of ours."""
    before, after = Interpreter(model), Interpreter(optimized)
    rng = np.random.default_rng(0)
    for _ in range(_CHECKED_INPUTS):
        inputs = [random_input(t.dtype, t.shape, rng) for t in model.graph.inputs]
        before.infer(*inputs)
        after.infer(*inputs)
        for index, tensor in enumerate(model.graph.outputs):
            if not np.array_equal(before.output(index), after.output(index), equal_nan=False):
                raise RuntimeFailure(
                    f"{model.name}: output {tensor.name!r} of the optimized model differs; nothing "
                    "was written, please report it"
                )


def random_input(
    dtype: np.dtype[Any] | None, shape: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray[Any, Any]:
    """Random values over the whole range of an integer type, of a normal distribution else."""
    if dtype is None:
        raise DataError("the model has an input of a type that numpy does not know")
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    return rng.normal(size=shape).astype(dtype)
