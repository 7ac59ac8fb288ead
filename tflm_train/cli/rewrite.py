"""`tflm_train rewrite`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tflm_train.cli import datasets, latents, shared, tables
from tflm_train.cli.columns import Column, short_op, show_columns
from tflm_train.cli.command import Command, Parser
from tflm_train.cost.report import FlashReport, TimeReport, time_report
from tflm_train.data.preparation import Preparation
from tflm_train.errors import DataError
from tflm_train.files import NewFile, is_json_report, write_files
from tflm_train.graph.names import without_common_folder
from tflm_train.learning import LatentCache
from tflm_train.learning.judge_preset import judge_of
from tflm_train.model import Model, load
from tflm_train.model.kinds import is_rewritten_model
from tflm_train.model.offline_plan import pinned_tensors
from tflm_train.model.older_tflm import Tflm, require_same_answers
from tflm_train.qas.update_rule import RESIDUAL_BITS
from tflm_train.records import plain, sometimes
from tflm_train.rewriter.asked import DEFAULT_BUDGET, DEFAULT_SLOWDOWN, Asked, Settled, settle
from tflm_train.rewriter.budget import parse_bytes
from tflm_train.rewriter.choose_preset import PresetChoice, PresetTrial
from tflm_train.rewriter.coins import Budget
from tflm_train.rewriter.latent_report import LatentReport
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.rewriter.report import RewriteReport
from tflm_train.rewriter.rewrite import original_of
from tflm_train.rewriter.split import SplitReport, is_trunk, split_model
from tflm_train.rewriter.trials import Way
from tflm_train.scheme import Scheme
from tflm_train.scheme.head import Head
from tflm_train.scheme.library import find_scheme
from tflm_train.scheme.presets import Preset, preset_scheme


@dataclass(frozen=True, kw_only=True)
class Rewritten(RewriteReport):
    """What `rewrite` wrote and what it added.

    Attributes:
      output: The rewritten model's file.
      slowdown: Estimated time of the forward layers, relative to the builtin ones'.
      time: The estimated time of a training step.
      pinned: How many tensors the file gives a fixed place in the arena; TFLM with
        `preserve_all_tensors` takes it only where that is 0 (`--no-pins`).
      chosen: The preset that was chosen, where neither scheme nor preset was named.
      plots: The pictures of `--plot`: the arena without and with `--stream` and
        `--forward`.
      split: The two models that `--split` writes instead of `output`.
      preparation: How raw data become the model's input, where that is stated: `front_end` (of
        recordings), `normalization`. The rewritten model says it to the other commands.
      new_head: What the head is where it is a fresh one, in words.
    """

    output: str
    slowdown: float
    time: TimeReport
    pinned: int
    chosen: PresetChoice | None = sometimes()
    plots: tuple[str, ...] | None = sometimes()
    split: SplitReport | None = sometimes()
    preparation: dict[str, Any] | None = sometimes()
    new_head: str | None = sometimes()


def _arguments(parser: Parser) -> None:
    parser.add_argument("model", help="an int8 .tflite file")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument(
        "--scheme", help="what to train: a YAML file, or the name of a ready scheme (`scheme list`)"
    )
    chosen.add_argument(
        "--preset",
        choices=[str(preset) for preset in Preset],
        help="what to train, for any model (`scheme list`); without --scheme and --preset the best "
        "one that fits --budget",
    )
    datasets.add_data(
        parser,
        f"without --scheme and --preset, judge the presets that fit by runs on it: "
        f"{datasets.DATA_HELP}",
        required=False,
    )
    latents.add_cache(parser)
    shared.add_classes(parser)
    parser.add_argument(
        "--residual-bits", type=int, choices=RESIDUAL_BITS, help="instead of the scheme's"
    )
    latent = parser.add_mutually_exclusive_group()
    latent.add_argument(
        "--latent",
        action="store_true",
        help="steps from stored latents as well as from samples, whatever the scheme says",
    )
    latent.add_argument(
        "--split",
        action="store_true",
        help="write two models: OUTPUT_trunk.tflite, an ordinary one up to where the trained part "
        "begins, and OUTPUT_tail.tflite, which trains on what the trunk gives",
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
    shared.add_forward(parser, Streaming.AUTO, Forward.AUTO)
    parser.add_argument(
        "--tflm",
        choices=list(map(str, Tflm)),
        default=str(Tflm.ANY),
        help="the year of the oldest TFLM that firmware may be built with: what that computes "
        "wrong or refuses is refused here (default: any; the file loads in each since September "
        "2022)",
    )
    parser.add_argument(
        "--max-slowdown",
        type=float,
        metavar="X",
        help="largest estimated time of the forward layers relative to the builtin ops' (default: "
        "1, never slower; more only where nothing else fits --budget)",
    )
    shared.add_board(parser)
    parser.add_argument(
        "--budget",
        metavar="SIZE",
        help="the largest arena (256KB, 1MB, bytes): what does not fit is refused, and what to "
        f"give up is said (default: the board's; without one none, or {DEFAULT_BUDGET} where a "
        "preset is chosen by it)",
    )
    parser.add_argument(
        "--flash",
        metavar="SIZE",
        help="the most flash for the model and our kernels (default: the board's, or no limit)",
    )
    parser.add_argument(
        "--step-ms",
        type=float,
        metavar="MS",
        help="the longest estimated training step, on --core at --clock or on --board",
    )


def _run(arguments: argparse.Namespace) -> Rewritten:
    source = Path(arguments.model)
    output = Path(arguments.output or source.with_name(f"{source.stem}_train.tflite"))
    parts_of = {part: output.with_stem(f"{output.stem}_{part}") for part in ("trunk", "tail")}
    for file in parts_of.values() if arguments.split else [output]:
        shared.require_another_file(file, source)
    target = shared.chosen_board(arguments)
    budget = _budget(arguments, target)
    given = load(source)
    differs = require_same_answers(given, Tflm(arguments.tflm))
    model = datasets.preparation_of(arguments).noted_in(original_of(given))
    is_named = arguments.scheme is not None or arguments.preset is not None
    asked = Asked(
        budget=budget, way=_way(arguments, target), may_be_slower=arguments.max_slowdown is None
    )
    if is_named:
        asked = dataclasses.replace(asked, scheme=_chosen_scheme(arguments, model))
    else:
        asked = dataclasses.replace(
            asked,
            head=shared.chosen_head(arguments),
            residual_bits=arguments.residual_bits,
            latent=arguments.latent,
        )
    if is_named and arguments.data is not None:
        raise DataError("--data chooses the preset: leave it out, or --scheme and --preset")
    settled = _settled(arguments, model, asked)
    scheme, way = settled.scheme, settled.way
    if arguments.split:
        scheme = dataclasses.replace(scheme, latent=False)
    result = way.rewrite(model, scheme, apart=arguments.split)
    files = [NewFile(output, result.model_bytes, is_rewritten_model)]
    split = None
    if arguments.split:
        parts = split_model(result.model_bytes, model.name)
        trunk, tail = parts_of["trunk"], parts_of["tail"]
        split = parts.report(str(trunk), str(tail), way.kernels)
        split.require_fit(budget.arena)
        files = [
            NewFile(trunk, parts.trunk, is_trunk),
            NewFile(tail, parts.tail, is_rewritten_model),
        ]
    plots = None
    if arguments.plot:
        plots = shared.draw_both(
            arguments.plot, result.memory_unstreamed, result.memory, arguments.force
        )
    flash = dataclasses.replace(result.report.flash, original_bytes=source.stat().st_size)
    rewritten = Rewritten(
        **vars(result.report) | {"flash": flash, "warnings": (*result.report.warnings, *differs)},
        output=str(output),
        slowdown=result.slowdown,
        time=time_report(result.step, target.clock),
        pinned=pinned_tensors(*(Model(file.data) for file in files)),
        chosen=settled.chosen,
        plots=plots,
        split=split,
        preparation=Preparation.of(model).to_dict() or None,
        new_head=_new_head(scheme.head),
    )
    if arguments.report:
        text = json.dumps(plain(rewritten), indent=2).encode() + b"\n"
        files.append(NewFile(Path(arguments.report), text, is_json_report))
    write_files(files, arguments.force)
    return rewritten


def _settled(arguments: argparse.Namespace, model: Model, asked: Asked) -> Settled:
    if arguments.data is None:
        with shared.trial_progress() as on_trial:
            return settle(model, asked, on_trial)
    data = datasets.read_data(arguments, model)
    cache = LatentCache.of_user(arguments.cache)
    with shared.progress(arguments.json) as progress:
        task = progress.add_task("what fits", total=None)

        def on_run(rate: float, step: int, steps: int) -> None:
            progress.update(
                task, total=steps, completed=step, description=f"a preset at rate {rate:g}"
            )

        on_latent = latents.frozen_layers(progress, arguments.json)
        judge = judge_of(model, data, cache, on_run, on_latent)
        return settle(model, dataclasses.replace(asked, judge=judge))


def _way(arguments: argparse.Namespace, target: shared.Target) -> Way:
    limit = arguments.max_slowdown
    if limit is not None and not limit >= 0:
        raise DataError(f"--max-slowdown {limit} must be at least 0 (as fast as can be)")
    stream, forward = Streaming(arguments.stream), Forward(arguments.forward)
    limit = DEFAULT_SLOWDOWN if limit is None else limit
    pins = not arguments.no_pins
    return Way(target.kernels, stream, forward, target.core, limit, pins)


def _budget(arguments: argparse.Namespace, target: shared.Target) -> Budget:
    """What may be spent: as the options say, else as much as the board has."""
    limit = arguments.step_ms
    if limit is not None and not limit > 0:
        raise DataError(f"--step-ms {limit:g} must be above 0")
    arena, flash = target.budget.arena, target.budget.flash
    if arguments.budget is not None:
        arena = parse_bytes(arguments.budget)
    if arguments.flash is not None:
        flash = parse_bytes(arguments.flash)
    return Budget(arena, flash, math.inf if limit is None else limit, target.clock)


def _chosen_scheme(arguments: argparse.Namespace, model: Model) -> Scheme:
    if arguments.preset is not None:
        chosen = preset_scheme(Preset(arguments.preset), model, shared.chosen_head(arguments))
    else:
        chosen = find_scheme(arguments.scheme)
        head = shared.chosen_head(arguments, chosen.head)
        chosen = dataclasses.replace(chosen, head=head)
    if arguments.latent:
        chosen = dataclasses.replace(chosen, latent=True)
    if arguments.residual_bits is not None:
        chosen = dataclasses.replace(chosen, residual_bits=arguments.residual_bits)
    return chosen


def _show(result: Rewritten) -> None:
    console = tables.console()
    if result.chosen is not None:
        for line in _choice_lines(result.chosen):
            console.print(line, soft_wrap=True)
    ram = result.arena.minimum_bytes - result.arena_before.minimum_bytes
    flash = result.flash.total_bytes - result.flash.original_bytes
    console.print(
        f"{tables.added(ram, flash)}; a step takes {tables.milliseconds(result.time)}",
        style="bold",
        soft_wrap=True,
    )
    _show_layers(result)
    if result.new_head is not None:
        console.print(f"the head is new: {result.new_head}", soft_wrap=True)
    reasons: dict[str, list[str]] = {}
    for left in result.left_out:
        reasons.setdefault(left.why, []).append(str(left.index))
    for why, layers in reasons.items():
        console.print(f"left out: layers {', '.join(layers)}: {why}")
    added = ", ".join(f"{count} {name}" for name, count in result.ops.items())
    console.print(f"ops added: {added}")
    tables.show_arena({"inference": result.arena_before, "training": result.arena}, result.kernels)
    tables.show_peak(result.peak)
    tables.show_macs(result.macs, result.macs_before)
    console.print(f"estimated time of the forward layers: {result.slowdown:.2f} times the builtin")
    tables.show_time("a training step", result.time)
    tables.show_pins(result.pinned)
    if result.latent is not None:
        _show_latent(result.latent)
    sizes = result.flash
    tables.show_flash(FlashReport(sizes.rewritten_bytes, sizes.kernel_bytes, sizes.total_bytes))
    console.print(f"the model's file was {sizes.original_bytes:,} bytes before")
    tables.show_warnings(result.warnings)
    if result.preparation is not None:
        for line in Preparation.from_dict(result.preparation).said():
            console.print(line, soft_wrap=True)
    split = result.split
    if split is None:
        tables.show_written(result.output, result.plots or ())
        return
    for what, part in (("trunk (inference)", split.trunk), ("tail (trains)", split.tail)):
        console.print(f"{what}: arena {part.arena.total_bytes:,} bytes, flash {part.bytes:,}")
    console.print(f"a latent between them: {split.latent_bytes:,} bytes")
    tables.show_written(split.trunk.output, result.plots or ())
    tables.show_written(split.tail.output, ())


def _show_layers(result: Rewritten) -> None:
    """A line for each layer that trains."""
    layers, clock = result.layers, result.time.clock
    names = without_common_folder([layer.name.split(";")[0] for layer in layers])
    show_columns(
        f"trained layers of {result.output}: elements that train, bytes of RAM for them, ms of the "
        "backward pass",
        (
            Column("#", [str(layer.index) for layer in layers]),
            Column("op", [x.op for x in layers], [short_op(x.op) for x in layers], left=True),
            Column("name", names, left=True, is_name=True),
            Column("weights", [f"{layer.weights:,}" for layer in layers]),
            Column("biases", [f"{layer.biases:,}" for layer in layers], leaves=2),
            Column("RAM", [f"{layer.variable_bytes:,}" for layer in layers]),
            Column("ms", [f"{1e3 * layer.cycles / clock:,.1f}" for layer in layers]),
            Column("", ["head" if layer.head else "" for layer in layers], left=True),
            Column("frozen", [_frozen(layer.frozen_channels) for layer in layers]),
        ),
    )
    if any(layer.biases and not layer.weights for layer in layers):
        tables.console().print("0 weights: only the biases of that layer train.", style="dim")


def _new_head(head: Head) -> str | None:
    if head.add:
        return f"{head.add} classes more, which it does not know before it is trained"
    if head.classes is None:
        return "it guesses until it is trained" if head.is_fresh else None
    names = f" ({', '.join(head.labels)})" if head.labels else ""
    return f"{head.classes} classes{names}; it guesses until it is trained"


def _frozen(channels: int) -> str:
    return f"{channels} channels" if channels else ""


def _show_latent(latent: LatentReport) -> None:
    console = tables.console()
    console.print(
        f"latent: {latent.bytes:,} bytes, {latent.per_kilobyte:g} in a KB; a step from one takes "
        f"{latent.saved:.1%} fewer instructions (estimated); the arena is {latent.ram_bytes:+,} "
        "bytes",
        soft_wrap=True,
    )
    if latent.always_run:
        console.print(f"frozen, but run in every step: {', '.join(latent.always_run)}")


def _choice_lines(chosen: PresetChoice) -> tuple[str, ...]:
    """Which preset it is, what was compared, and how to have another."""
    limits = f"{chosen.budget_bytes:,} bytes of RAM"
    if chosen.flash_budget is not None:
        limits += f", {chosen.flash_budget:,} of flash"
    if chosen.step_ms_budget is not None:
        limits += f", {chosen.step_ms_budget:g} ms a step"
    if chosen.judged is not None:
        did = ", ".join(f"{each.preset} {each.score:.3g}" for each in chosen.judged)
        said = f"preset {chosen.preset}: the best in runs on the data of those that fit {limits}"
        compared = f"score on held-out samples: {did}"
    else:
        *_, fitting = (trial for trial in chosen.tried if trial.fits)
        ways: dict[str, list[PresetTrial]] = {}
        for trial in chosen.tried:
            ways.setdefault(trial.preset, []).append(trial)
        tried = ", ".join(_tried(min(each, key=_nearest), chosen) for each in ways.values())
        said = f"preset {fitting.words}: trains the most of those that fit {limits}"
        compared = f"each takes, in bytes of RAM: {tried}"
    return (
        f"{said}.",
        f"{compared}.",
        "Choose another with `--preset`, another limit with `--budget`; `full` is only taken on "
        "request, even where it fits.",
    )


def _nearest(trial: PresetTrial) -> tuple[bool, int]:
    """Orders the ways of a preset: the one that fits, else the one that takes least RAM."""
    return not trial.fits, trial.arena_bytes


def _tried(trial: PresetTrial, chosen: PresetChoice) -> str:
    """What a preset takes of RAM, and of flash and time where these are limited."""
    words = f"{trial.words} {trial.arena_bytes:,}"
    if chosen.flash_budget is not None:
        words += f" (flash {trial.flash_bytes:,})"
    if chosen.step_ms_budget is not None:
        words += f" ({trial.step_ms:,.1f} ms)"
    return words if trial.fits else f"{words}, which does not fit"


COMMAND = Command(
    "rewrite",
    "Add training to a quantized model: backward and update ops for what the scheme names.",
    "The result still runs inference in any TFLM interpreter that has our kernels registered,\n"
    "bit for bit as before, and trains when its learning-rate input is above 0.",
    _arguments,
    _run,
    _show,
)
