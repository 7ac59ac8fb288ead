"""`tflm_train inspect`."""

from __future__ import annotations

import argparse

from tflm_train.cli import shared, tables
from tflm_train.cli.command import Command, Parser
from tflm_train.model import load
from tflm_train.rewriter.inspection import Inspection, inspect_model
from tflm_train.scheme.resolve import find_output


def _arguments(parser: Parser) -> None:
    parser.add_argument("model", help="a .tflite file")
    parser.add_argument(
        "--output", default="0", help="index or name of the output to train (default: 0)"
    )
    shared.add_kernels(parser)


def _run(arguments: argparse.Namespace) -> Inspection:
    model = load(arguments.model)
    chosen = arguments.output
    output = find_output(int(chosen) if chosen.isdecimal() else chosen, model)
    return inspect_model(model, arguments.kernels, output)


def _show(result: Inspection) -> None:
    table = tables.new_table(
        f"{result.model} ({result.bytes:,} bytes)",
        (
            "layer", "op", "name", "input", "output", "kernel", "MACs", "weights", "bias keeps",
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
            f"{layer.weight_bytes:,}",
            f"{layer.bias_kept_bytes:,}",
            f"{layer.weight_kept_bytes:,}",
            "yes" if layer.trainable else f"no: {layer.why_not}",
        )
    console = tables.console()
    console.print(table)
    for barrier in result.barriers:
        console.print(f"no gradient passes {barrier}", style="yellow")
    for loss, reason in result.losses.items():
        console.print(f"loss {loss}: {'yes' if reason is None else f'no: {reason}'}")
    console.print(
        "Keeps: bytes of RAM that training the layer's bias, or its weights (with residual_bits: "
        "8, the bias and its input activation), keeps itself. Masks and gradients of the layers "
        "behind it come in addition: `rewrite --preset` tells the whole arena.",
        style="dim",
    )
    tables.show_arena({"inference": result.arena}, result.kernels)
    tables.show_peak(result.peak)


COMMAND = Command(
    "inspect",
    "List a model's layers, what training each would cost, or why it cannot train.",
    "Layers are numbered over CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED and TRANSPOSE_CONV\n"
    "in execution order from 0; schemes use these numbers, or the names.",
    _arguments,
    _run,
    _show,
)
