"""`tflm_train optimize`."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tflm_train.cli import shared, tables
from tflm_train.cli.command import Command, Parser
from tflm_train.errors import DataError, RuntimeFailure
from tflm_train.files import write_file
from tflm_train.memory import KernelSet
from tflm_train.memory.report import Arena, Peak
from tflm_train.model import Model, load
from tflm_train.model.kinds import is_optimized_model
from tflm_train.model.offline_plan import pinned_tensors
from tflm_train.records import sometimes
from tflm_train.rewriter.optimize import Choice, Forward, Streaming, optimize
from tflm_train.runtime.interpreter import Interpreter

_CHECKED_INPUTS = 3


@dataclass(frozen=True)
class OptimizeFlash:
    """Sizes of the model files.

    Attributes:
      original_bytes: The original model.
      optimized_bytes: The optimized one.
    """

    original_bytes: int
    optimized_bytes: int


@dataclass(frozen=True)
class OptimizeSummary:
    """What `optimize` did to a model.

    Attributes:
      output: The optimized model's file.
      kernels: What runs the builtin operators.
      arena_before: The arena of the original model on a Cortex-M.
      arena: That of the optimized one.
      peak: Where most of it is in use.
      macs_before: Multiply-accumulates of one inference of the original model.
      macs: Of the optimized one: zeros at a kernel's edges are left out.
      folded_pads: PAD operators that a convolution took over.
      streams: The layers that became one op, for each such op.
      slowdown: Estimated time of the forward layers, relative to the builtin ones'.
      flash: Sizes of the model files.
      pinned: How many tensors the file gives a fixed place in the arena; TFLM with
        `preserve_all_tensors` takes it only where that is 0 (`--no-pins`).
      plots: The pictures of `--plot`: the arena before and after.
    """

    output: str
    kernels: str
    arena_before: Arena
    arena: Arena
    peak: Peak
    macs_before: int
    macs: int
    folded_pads: int
    streams: tuple[tuple[str, ...], ...]
    slowdown: float
    flash: OptimizeFlash
    pinned: int
    plots: tuple[str, ...] | None = sometimes()


def _arguments(parser: Parser) -> None:
    parser.add_argument("model", help="an int8 .tflite file")
    parser.add_argument("-o", "--output", help="where to write (default: <stem>_optimized.tflite)")
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


def _run(arguments: argparse.Namespace) -> OptimizeSummary:
    source = Path(arguments.model)
    output = Path(arguments.output or source.with_name(f"{source.stem}_optimized.tflite"))
    shared.require_another_file(output, source)
    if not arguments.max_slowdown >= 1:
        raise DataError(f"--max-slowdown {arguments.max_slowdown} must be at least 1")
    model = load(source)
    choice = Choice(
        Streaming(arguments.stream),
        Forward(arguments.forward),
        arguments.max_slowdown,
        KernelSet(arguments.kernels),
        pins=not arguments.no_pins,
    )
    result = optimize(model, choice)
    _require_same_outputs(model, Model(result.model_bytes, output.name))
    write_file(output, result.model_bytes, is_optimized_model, arguments.force)
    plots = None
    if arguments.plot:
        plots = shared.draw_both(arguments.plot, result.before, result.after, arguments.force)
    return OptimizeSummary(
        output=str(output),
        kernels=str(choice.kernels),
        arena_before=result.before.arena(),
        arena=result.after.arena(),
        peak=result.after.peak(),
        macs_before=result.macs_before,
        macs=result.macs_after,
        folded_pads=result.folded_pads,
        streams=tuple(map(tuple, result.streams)),
        slowdown=result.slowdown,
        flash=OptimizeFlash(len(model.source), len(result.model_bytes)),
        pinned=pinned_tensors(Model(result.model_bytes)),
        plots=plots,
    )


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


def _show(result: OptimizeSummary) -> None:
    tables.show_arena({"before": result.arena_before, "after": result.arena}, result.kernels)
    console = tables.console()
    for stream in result.streams:
        ends = stream[0] if len(stream) == 1 else f"{stream[0]} to {stream[-1]}"
        console.print(f"one op for {tables.counted(len(stream), 'layer')}: {ends}")
    if result.folded_pads:
        console.print(f"PAD ops taken over by a convolution: {result.folded_pads}")
    tables.show_macs(result.macs, result.macs_before)
    console.print(f"estimated time of the forward layers: {result.slowdown:.2f} times as before")
    tables.show_pins(result.pinned)
    tables.show_written(result.output, result.plots or ())


COMMAND = Command(
    "optimize",
    "Make a model's inference take less RAM; its outputs stay the same, bit for bit.",
    "Runs of layers become one custom op each that keeps only the rows still needed, and\n"
    "requantization constants stay in flash. Firmware registers the op TFLM_TRAIN_STREAM.",
    _arguments,
    _run,
    _show,
)
