"""`tflm_train rewrite`."""

from __future__ import annotations

import argparse
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from tflm_train.cli import shared, tables
from tflm_train.cli.command import Command, Parser
from tflm_train.files import is_json_report, write_file
from tflm_train.model import Model, load
from tflm_train.model.kinds import is_rewritten_model
from tflm_train.qas.update_rule import RESIDUAL_BITS
from tflm_train.records import plain, sometimes
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.budget import parse_bytes, require_fit
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.rewriter.report import RewriteReport
from tflm_train.scheme import Scheme
from tflm_train.scheme.library import find_scheme
from tflm_train.scheme.presets import Preset, preset_scheme


@dataclass(frozen=True, kw_only=True)
class Rewritten(RewriteReport):
    """What `rewrite` wrote and what it added.

    Attributes:
      output: The rewritten model's file.
      plots: The pictures of `--plot`: the arena without and with `--stream` and
        `--forward`.
    """

    output: str
    plots: tuple[str, ...] | None = sometimes()


def _arguments(parser: Parser) -> None:
    parser.add_argument("model", help="an int8 .tflite file")
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument(
        "--scheme", help="what to train: a YAML file, or the name of a ready scheme (`scheme list`)"
    )
    chosen.add_argument(
        "--preset",
        choices=[str(preset) for preset in Preset],
        help="what to train, for any model (`scheme list`)",
    )
    shared.add_classes(parser)
    parser.add_argument(
        "--residual-bits", type=int, choices=RESIDUAL_BITS, help="instead of the scheme's"
    )
    parser.add_argument("-o", "--output", help="where to write (default: <stem>_train.tflite)")
    parser.add_argument("--report", help="also write the report as JSON to this file")
    shared.add_force(parser)
    parser.add_argument(
        "--plot",
        metavar="STEM",
        help="draw the arena over time, without and with --stream and --forward: STEM_before.png, "
        "STEM_after.png",
    )
    shared.add_forward(parser, Streaming.OFF, Forward.BUILTIN)
    shared.add_kernels(parser)
    parser.add_argument(
        "--budget",
        metavar="SIZE",
        help="refuse, and say what to give up, when the arena would be larger (256KB, 1MB, bytes)",
    )


def _run(arguments: argparse.Namespace) -> Rewritten:
    source = Path(arguments.model)
    output = Path(arguments.output or source.with_name(f"{source.stem}_train.tflite"))
    shared.require_another_file(output, source)
    budget = None if arguments.budget is None else parse_bytes(arguments.budget)
    model = load(source)
    scheme = _chosen_scheme(arguments, model)
    result = rewrite(
        model,
        scheme,
        arguments.kernels,
        stream=Streaming(arguments.stream),
        forward=Forward(arguments.forward),
    )
    if budget is not None:
        require_fit(model, scheme, result.memory, budget)
    plots = None
    if arguments.plot:
        plots = shared.draw_both(
            arguments.plot, result.memory_unstreamed, result.memory, arguments.force
        )
    rewritten = Rewritten(**vars(result.report), output=str(output), plots=plots)
    write_file(output, result.model_bytes, is_rewritten_model, arguments.force)
    if arguments.report:
        text = json.dumps(plain(rewritten), indent=2).encode() + b"\n"
        write_file(Path(arguments.report), text, is_json_report, arguments.force)
    return rewritten


def _chosen_scheme(arguments: argparse.Namespace, model: Model) -> Scheme:
    if arguments.preset is not None:
        chosen = preset_scheme(Preset(arguments.preset), model, shared.chosen_head(arguments))
    else:
        chosen = find_scheme(arguments.scheme)
        head = shared.chosen_head(arguments, chosen.head)
        chosen = dataclasses.replace(chosen, head=head)
    if arguments.residual_bits is not None:
        chosen = dataclasses.replace(chosen, residual_bits=arguments.residual_bits)
    return chosen


def _show(result: Rewritten) -> None:
    table = tables.new_table(
        f"trained layers of {result.output}",
        ("layer", "op", "name", "weights", "biases", "variables (bytes)", "frozen"),
        ("op", "name"),
    )
    for layer in result.layers:
        table.add_row(
            f"{layer.index}{' (head)' if layer.head else ''}",
            layer.op,
            layer.name,
            f"{layer.weights:,}",
            f"{layer.biases:,}",
            f"{layer.variable_bytes:,}",
            f"{layer.frozen_channels} channels" if layer.frozen_channels else "",
        )
    console = tables.console()
    console.print(table)
    reasons: dict[str, list[str]] = {}
    for left in result.left_out:
        reasons.setdefault(left.why, []).append(str(left.index))
    for why, layers in reasons.items():
        console.print(f"left out: layers {', '.join(layers)}: {why}")
    added = ", ".join(f"{count} {name}" for name, count in result.ops.items())
    console.print(f"ops added: {added}")
    tables.show_arena({"inference": result.arena_before, "training": result.arena}, result.kernels)
    tables.show_peak(result.peak)
    extra = result.extra_memory
    console.print(
        f"kept for training beyond inference: {extra.kept.total_bytes:,} bytes without the head "
        f"(the paper's formula gives {extra.analytic.total_bytes:,})"
    )
    tables.show_macs(result.macs, result.macs_before)
    flash = result.flash
    console.print(f"flash: {flash.rewritten_bytes:,} bytes (was {flash.original_bytes:,})")
    tables.show_warnings(result.warnings)
    tables.show_written(result.output, result.plots or ())


COMMAND = Command(
    "rewrite",
    "Add training to a quantized model: backward and update ops for what the scheme names.",
    "The result still runs inference in any TFLM interpreter that has our kernels registered,\n"
    "bit for bit as before, and trains when its learning-rate input is above 0.",
    _arguments,
    _run,
    _show,
)
