"""`tflm_train inspect`."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Mapping

from tflm_train.cli import shared, tables
from tflm_train.cli.columns import Column, short_op, show_columns
from tflm_train.cli.command import Command, Parser
from tflm_train.cost.boards import show_clock
from tflm_train.errors import DataError, TflmTrainError
from tflm_train.graph.names import without_common_folder
from tflm_train.model import load
from tflm_train.model.runnable import require_runnable
from tflm_train.rewriter.default_training import default_training
from tflm_train.rewriter.inspection import Inspection, inspect_model
from tflm_train.rewriter.layer_costs import measure_layers
from tflm_train.rewriter.trials import Trials, Way
from tflm_train.scheme.resolve import find_output


def _arguments(parser: Parser) -> None:
    parser.add_argument("model", help="a .tflite file")
    parser.add_argument(
        "--output", default="0", help="index or name of the output to train (default: 0)"
    )
    parser.add_argument(
        "--measure",
        action="store_true",
        help="what training each layer really adds to RAM, flash and time: two rewrites for each",
    )
    parser.add_argument(
        "--force", action="store_true", help="inspect a model that TFLM cannot run all the same"
    )
    shared.add_board(parser)


def _run(arguments: argparse.Namespace) -> Inspection:
    model = load(arguments.model)
    if not arguments.force:
        require_runnable(model, "`--force` inspects it all the same")
    chosen = arguments.output
    output = find_output(int(chosen) if chosen.isdecimal() else chosen, model)
    target = shared.chosen_board(arguments)
    way = Way(target.kernels, core=target.core)
    if arguments.measure and output:
        raise DataError("--measure: it measures the first output only; leave out --output")
    added = training = why = None
    with shared.trial_progress() as on_trial:
        try:
            if not output:
                training = default_training(model, way, target.budget, on_trial)
        except TflmTrainError as error:
            why = str(error)
        if arguments.measure:
            added = measure_layers(Trials(model, on_trial), way)
    found = inspect_model(
        model, target.kernels, output, core=target.core, clock=target.clock, added=added
    )
    return dataclasses.replace(found, training=training, why_no_training=why)


def _show(result: Inspection) -> None:
    console = tables.console()
    able = sum(layer.trainable for layer in result.layers)
    console.print(f"{result.model}: {able} of {len(result.layers)} layers can train")
    for what, tensors in (("input", result.inputs), ("output", result.outputs)):
        listed = ", ".join(f"{tables.shape(x.shape)} {x.type}" for x in tensors)
        console.print(f"{what} {listed}", soft_wrap=True)
    _show_training(result)
    warnings = () if result.training is None else result.training.warnings
    tables.show_warnings(dict.fromkeys((*result.notes, *warnings)))
    _show_layers(result)
    said = [layer.why_not for layer in result.layers if layer.why_not is not None]
    for barrier in result.barriers:
        op = barrier.partition(":")[0]
        if not any(reason.startswith(op) for reason in said):
            console.print(f"no gradient passes {barrier}", style="yellow", soft_wrap=True)
    _show_losses(result.losses)
    more = "The arena in detail: `tflm_train memory`."
    if not any(layer.added for layer in result.layers):
        more += " What training each layer adds: `--measure`."
    console.print(more, style="dim", soft_wrap=True)


def _show_training(result: Inspection) -> None:
    """What an inference takes and what training adds, the figures that most come for."""
    console = tables.console()
    time, training = result.time, result.training
    takes = tables.coins(result.arena.minimum_bytes, result.flash.total_bytes, time)
    console.print(f"inference takes {takes}", soft_wrap=True)
    if training is not None:
        chosen = training.chosen
        adds = f"{tables.added(chosen.ram_bytes, chosen.flash_bytes)}, {chosen.step_ms:,.1f} ms"
        console.print(f"{adds} a step", style="bold", soft_wrap=True)
        limit = tables.kilobytes(training.budget_bytes)
        console.print(f"  (preset {chosen.words}, which `rewrite` chooses for {limit} of RAM)")
    elif result.why_no_training is not None:
        console.print(f"no training: {result.why_no_training}", style="yellow", soft_wrap=True)
    console.print(
        f"on {time.core} at {show_clock(time.clock)} with {result.kernels} kernels; flash is the "
        "model and our kernels, without TFLM; times are estimates",
        style="dim",
    )
    tables.show_unmeasured(time)
    if training is not None:
        tried, before = training.tried, result.arena.minimum_bytes
        show_columns(
            "RAM with training, and what it adds, by preset",
            (
                Column("preset", [each.words for each in tried], left=True),
                Column("RAM", [f"{before + each.ram_bytes:,}" for each in tried]),
                Column("adds", [f"{each.ram_bytes:+,}" for each in tried]),
                Column("flash", [f"{each.flash_bytes:+,}" for each in tried]),
                Column("ms", [f"{each.step_ms:+,.1f}" for each in tried]),
                Column("fits", ["yes" if each.fits else "no" for each in tried], left=True),
            ),
        )
        if any(min(each.ram_bytes, each.flash_bytes, each.step_ms) < 0 for each in tried):
            console.print(
                "Below 0: the model that trains takes less than the model as it is, because "
                "`rewrite` also makes the forward layers smaller or faster, as `optimize` does.",
                style="dim",
            )


def _show_layers(result: Inspection) -> None:
    """A line for each layer, and below them why some cannot train."""
    layers = result.layers
    if not layers:
        return
    reasons = list(dict.fromkeys(x.why_not for x in layers if x.why_not is not None))
    trains = [
        "yes" if x.why_not is None else f"no ({reasons.index(x.why_not) + 1})" for x in layers
    ]
    names = without_common_folder([layer.name.split(";")[0] for layer in layers])
    console = tables.console()
    is_measured = any(layer.added for layer in layers)
    show_columns(
        "What training each layer adds to training the head: bytes of RAM and flash, ms of a step"
        if is_measured
        else "Layers: multiply-accumulates, ms and bytes of flash of one inference",
        (
            Column("#", [str(layer.index) for layer in layers]),
            Column("op", [x.op for x in layers], [short_op(x.op) for x in layers], True),
            Column("name", names, left=True, is_name=True),
            *(_added_columns(result) if is_measured else _inference_columns(result)),
            Column("trains", trains, left=True),
        ),
    )
    for number, reason in enumerate(reasons, 1):
        console.print(f"({number}) {reason}", soft_wrap=True)


def _inference_columns(result: Inspection) -> Iterator[Column]:
    """What each layer is, and what it takes of an inference."""
    layers, clock = result.layers, result.time.clock
    yield Column("output", [tables.shape(x.output_shape) for x in layers], left=True, leaves=3)
    yield Column("kernel", [tables.shape(x.weight_shape) for x in layers], left=True, leaves=2)
    yield Column("MACs", [f"{layer.macs:,}" for layer in layers], leaves=1)
    yield Column("ms", [f"{1e3 * layer.cycles / clock:,.1f}" for layer in layers])
    yield Column("flash", [f"{x.weight_bytes + x.bias_bytes:,}" for x in layers], leaves=4)


def _added_columns(result: Inspection) -> Iterator[Column]:
    """What `--measure` found."""
    for heading, part in (("bias", "biases"), ("weights", "weights")):
        costs = [None if x.added is None else getattr(x.added, part) for x in result.layers]
        ram = ["-" if c is None else f"{c.ram_bytes:,}" for c in costs]
        flash = ["-" if c is None else f"{c.flash_bytes:,}" for c in costs]
        ms = ["-" if c is None else f"{1e3 * c.cycles / result.time.clock:,.1f}" for c in costs]
        yield Column(f"{heading} RAM", ram)
        yield Column(f"{heading} flash", flash, leaves=5)
        yield Column(f"{heading} ms", ms, leaves=6)


def _show_losses(losses: Mapping[str, str | None]) -> None:
    """Which losses the output can be trained with; where there is none, why."""
    possible = [loss for loss, reason in losses.items() if reason is None]
    console = tables.console()
    if possible:
        console.print(f"losses: {', '.join(possible)}")
        return
    for reason in dict.fromkeys(losses.values()):
        console.print(f"no loss: {reason}", soft_wrap=True)


COMMAND = Command(
    "inspect",
    "Say what training a model would cost, and list its layers: which can train, or why not.",
    "Layers are numbered over CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED and TRANSPOSE_CONV\n"
    "in execution order from 0; schemes use these numbers, or the names.",
    _arguments,
    _run,
    _show,
)
