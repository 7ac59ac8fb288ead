"""`tflm_train memory`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from tflm_train.cli import shared, tables
from tflm_train.cli.command import Command, Parser
from tflm_train.cost.estimate import step_cost
from tflm_train.cost.flash import flash_bytes
from tflm_train.cost.report import FlashReport, TimeReport, flash_report, time_report
from tflm_train.files import NewFile, is_png, write_files
from tflm_train.memory import memory_report
from tflm_train.memory.page import memory_page
from tflm_train.memory.plot import draw_memory
from tflm_train.memory.report import Arena, Peak
from tflm_train.memory.structures import Category
from tflm_train.model import load
from tflm_train.pages.document import is_document
from tflm_train.records import sometimes


@dataclass(frozen=True)
class MemorySummary:
    """The memory and time of a model on a Cortex-M.

    Attributes:
      model: The file's name.
      kernels: What runs the builtin operators.
      arena: The arena.
      persistent: Bytes of the arena's persistent part, by what they are for.
      peak: Where most of the planned part is in use.
      unmodelled_ops: Operators whose memory is not known, and not counted.
      flash: What the model takes in flash.
      time: The estimated time of a training step, or of an inference.
      plot: The picture of `--plot`.
      page: The page of `--html`.
    """

    model: str
    kernels: str
    arena: Arena
    persistent: dict[str, int]
    peak: Peak
    unmodelled_ops: tuple[str, ...]
    flash: FlashReport
    time: TimeReport
    plot: str | None = sometimes()
    page: str | None = sometimes()


def _arguments(parser: Parser) -> None:
    parser.add_argument("model", help="a .tflite file, original or rewritten")
    shared.add_board(parser)
    parser.add_argument("--plot", metavar="FILE", help="draw the arena over time (PNG)")
    parser.add_argument(
        "--html", metavar="FILE", help="write the arena over time as a page to explore, in one file"
    )
    shared.add_force(parser)


def _run(arguments: argparse.Namespace) -> MemorySummary:
    model = load(arguments.model)
    target = shared.chosen_board(arguments)
    report = memory_report(model, target.kernels)
    ops = model.graph.ops
    files: list[NewFile] = []
    if arguments.plot:
        files.append(NewFile(Path(arguments.plot), draw_memory(report), is_png))
    if arguments.html:
        page = memory_page(report).encode()
        files.append(NewFile(Path(arguments.html), page, is_document))
    if files:
        write_files(files, arguments.force)
    return MemorySummary(
        model=report.model,
        kernels=str(report.kernels),
        arena=report.arena(),
        persistent={str(c): report.persistent.bytes_of(c) for c in Category},
        peak=report.peak(),
        unmodelled_ops=tuple(report.persistent.unmodelled),
        flash=flash_report(flash_bytes(len(model.source), ops, target.core)),
        time=time_report(step_cost(ops, target.core, target.kernels), target.clock),
        plot=arguments.plot,
        page=arguments.html,
    )


def _show(result: MemorySummary) -> None:
    tables.show_arena({result.model: result.arena}, result.kernels)
    tables.show_peak(result.peak)
    tables.show_flash(result.flash)
    tables.show_time("one Invoke", result.time)
    tables.show_warnings(f"the memory of {name} is not counted" for name in result.unmodelled_ops)
    for what, path in (("plot", result.plot), ("page", result.page)):
        if path is not None:
            tables.console().print(f"{what} written: {path}")


COMMAND = Command(
    "memory",
    "Predict the arena a model takes on a Cortex-M, to the byte; its flash and its time.",
    "The total is what arena_used_bytes() will return; the peak names the tensors to blame.",
    _arguments,
    _run,
    _show,
)
