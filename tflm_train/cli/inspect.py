"""`tflm_train inspect`."""

from __future__ import annotations

import argparse

from tflm_train.cli import shared, tables
from tflm_train.cli.command import Command, Parser
from tflm_train.errors import DataError
from tflm_train.model import load
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
    shared.add_board(parser)


def _run(arguments: argparse.Namespace) -> Inspection:
    model = load(arguments.model)
    chosen = arguments.output
    output = find_output(int(chosen) if chosen.isdecimal() else chosen, model)
    target = shared.chosen_board(arguments)
    added = None
    if arguments.measure:
        if output:
            raise DataError("--measure: it measures the first output only; leave out --output")
        way = Way(target.kernels, core=target.core)
        with shared.trial_progress() as on_trial:
            added = measure_layers(Trials(model, on_trial), way)
    return inspect_model(
        model, target.kernels, output, core=target.core, clock=target.clock, added=added
    )


def _show(result: Inspection) -> None:
    table = tables.new_table(
        f"{result.model} ({result.bytes:,} bytes)",
        (
            "layer", "op", "name", "input", "output", "kernel", "MACs", "ms", "flash", "bias keeps",
            "weights keep", "trainable",
        ),
        ("op", "name", "input", "output", "kernel", "trainable"),
    )  # fmt: skip
    for layer in result.layers:
        table.add_row(
            str(layer.index),
            layer.op,
            layer.name,
            tables.shape(layer.input_shape),
            tables.shape(layer.output_shape),
            tables.shape(layer.weight_shape),
            f"{layer.macs:,}",
            f"{1e3 * layer.cycles / result.time.clock:,.2f}",
            f"{layer.weight_bytes + layer.bias_bytes:,}",
            f"{layer.bias_kept_bytes:,}",
            f"{layer.weight_kept_bytes:,}",
            "yes" if layer.trainable else f"no: {layer.why_not}",
        )
    console = tables.console()
    console.print(table)
    tables.show_warnings(result.notes)
    for barrier in result.barriers:
        console.print(f"no gradient passes {barrier}", style="yellow")
    for loss, reason in result.losses.items():
        console.print(f"loss {loss}: {'yes' if reason is None else f'no: {reason}'}")
    console.print(
        "Keeps: bytes of RAM that training the layer's bias, or its weights (with residual_bits: "
        "8, the bias and its input activation), keeps at least. Masks and gradients of the layers "
        "behind it come in addition: `--measure` tells what it really adds.",
        style="dim",
    )
    _show_added(result)
    tables.show_arena({"inference": result.arena}, result.kernels)
    tables.show_peak(result.peak)
    console.print(f"flash: {result.bytes:,} bytes (the model; TFLM is not counted)")
    tables.show_time("an inference", result.time)


def _show_added(result: Inspection) -> None:
    """What `--measure` found."""
    measured = [layer for layer in result.layers if layer.added is not None]
    if not measured:
        return
    table = tables.new_table(
        "training it adds to training the head alone: bytes of RAM, bytes of flash, ms of a step",
        ("layer", "op", "name", "bias: RAM", "flash", "ms", "weights: RAM", "flash", "ms"),
        ("op", "name"),
    )
    for layer in measured:
        assert layer.added is not None
        cells: list[str] = []
        for added in (layer.added.biases, layer.added.weights):
            if added is None:
                cells += ["-", "-", "-"]
            else:
                ms = 1e3 * added.cycles / result.time.clock
                cells += [f"{added.ram_bytes:,}", f"{added.flash_bytes:,}", f"{ms:,.1f}"]
        table.add_row(str(layer.index), layer.op, layer.name, *cells)
    tables.console().print(table)


COMMAND = Command(
    "inspect",
    "List a model's layers, what training each would cost, or why it cannot train.",
    "Layers are numbered over CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED and TRANSPOSE_CONV\n"
    "in execution order from 0; schemes use these numbers, or the names.",
    _arguments,
    _run,
    _show,
)
