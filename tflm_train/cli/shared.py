"""What several commands have in common: arguments, progress, pictures."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from tflm_train.cli import tables
from tflm_train.cli.command import Parser
from tflm_train.cost.boards import BOARDS, DEFAULT_CLOCK, Board, parse_clock, show_clock
from tflm_train.cost.cores import Core
from tflm_train.errors import SchemeError, TflmTrainError
from tflm_train.files import is_png, write_file
from tflm_train.memory import KernelSet, MemoryReport
from tflm_train.memory.plot import draw_memory
from tflm_train.rewriter.coins import Budget
from tflm_train.rewriter.costs import Costs
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.rewriter.trials import OnTrial
from tflm_train.scheme.head import KEPT_HEAD, MAX_CLASSES, Head, parse_classes

SECONDS_BETWEEN = 10.0  # lines of progress where there is no terminal


def add_force(parser: Parser) -> None:
    """Adds --force, for `write_file`."""
    parser.add_argument("--force", action="store_true", help="overwrite files that are not ours")


def add_kernels(parser: Parser, default: KernelSet | None = KernelSet.CMSIS_NN) -> None:
    """Adds --kernels, a `KernelSet`."""
    parser.add_argument(
        "--kernels",
        choices=[str(kernels) for kernels in KernelSet],
        default=None if default is None else str(default),
        help="what runs the builtin operators: TFLM's reference kernels, or CMSIS-NN on a core "
        "with the DSP extension (cmsis_nn, default), with Helium, or with neither (_basic)",
    )


def add_target(parser: Parser) -> None:
    """Adds --core and --kernels, for `chosen_target`."""
    parser.add_argument(
        "--core",
        choices=[str(core) for core in Core],
        help="what the time is estimated for (default: m4, or what --kernels run on)",
    )
    add_kernels(parser, None)


def chosen_target(arguments: argparse.Namespace) -> tuple[Core, KernelSet]:
    """What --core and --kernels mean; each follows from the other where it is left out."""
    if arguments.core is None:
        kernels = KernelSet(arguments.kernels or KernelSet.CMSIS_NN)
        return Core.of(kernels), kernels
    core = Core(arguments.core)
    return core, KernelSet(arguments.kernels or core.kernels)


def add_board(parser: Parser) -> None:
    """Adds --board, --clock, --core and --kernels, for `chosen_board`."""
    parser.add_argument(
        "--board",
        choices=list(BOARDS),
        help="its core and clock; and as --budget and --flash what it leaves of its memory",
    )
    parser.add_argument(
        "--clock",
        metavar="HZ",
        help="the core's frequency, for times in ms (default: the board's, or "
        f"{show_clock(DEFAULT_CLOCK)})",
    )
    add_target(parser)


@dataclass(frozen=True)
class Target:
    """What a model is to run on.

    Attributes:
      core: What the time is estimated for.
      kernels: What runs the builtin operators.
      clock: The core's, in Hz.
      board: The board, where one is named.
    """

    core: Core
    kernels: KernelSet
    clock: int
    board: Board | None

    @property
    def budget(self) -> Budget:
        """What the board leaves of its memory; without a board no limit."""
        if self.board is None:
            return Budget(clock=self.clock)
        return Budget(self.board.ram_budget, self.board.flash_budget, clock=self.clock)


def chosen_board(arguments: argparse.Namespace) -> Target:
    """What --board, --clock, --core and --kernels mean; what is left out follows from the others.

    Raises:
      SchemeError: The clock is no frequency, or a board's core is not the one that is named.
    """
    board = None if arguments.board is None else BOARDS[arguments.board]
    core, kernels = chosen_target(arguments)
    clock = DEFAULT_CLOCK
    if board is not None:
        if arguments.core is not None and core is not board.core:
            raise SchemeError(
                f"--board {board.name} has {board.core}, not {core}; leave out --core"
            )
        core, clock = board.core, board.clock
        kernels = KernelSet(arguments.kernels or core.kernels)
    if arguments.clock is not None:
        clock = parse_clock(arguments.clock)
    return Target(core, kernels, clock, board)


def add_forward(parser: Parser, stream: Streaming, forward: Forward) -> None:
    """Adds --stream and --forward with their defaults, and --no-pins."""
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
    parser.add_argument(
        "--no-pins",
        action="store_true",
        help="give no tensor a fixed place in the arena, for TFLM with preserve_all_tensors or a "
        "memory planner of your own, which refuse such a file; takes more RAM",
    )


def add_classes(parser: Parser) -> None:
    """Adds --classes and --labels, for `chosen_head`."""
    parser.add_argument(
        "--classes", metavar="N", help="a fresh head for N classes; +N adds N to those it has"
    )
    parser.add_argument(
        "--labels", metavar="A,B,...", help="the new classes' names; alone: a fresh head for them"
    )


def chosen_head(arguments: argparse.Namespace, head: Head = KEPT_HEAD) -> Head:
    """What --classes and --labels make of a scheme's head.

    Args:
      arguments: Of the command line.
      head: The scheme's.

    Raises:
      SchemeError: They are no number of classes, or contradict each other.
    """
    labels = head.labels
    if arguments.classes is not None:
        parsed = parse_classes(arguments.classes)
        if parsed is None:
            raise SchemeError(
                f"--classes must be a number from 1 to {MAX_CLASSES}, or +N to add N classes, not "
                f"{arguments.classes!r}"
            )
        classes, add = parsed
        if labels and len(labels) != (classes or add):
            labels = ()
        head = dataclasses.replace(head, classes=classes, add=add, labels=labels)
    if arguments.labels is None:
        return head
    labels = tuple(label.strip() for label in arguments.labels.split(","))
    if "" in labels or len(set(labels)) != len(labels):
        raise SchemeError(f"--labels {arguments.labels!r}: give different names, with commas")
    if head.classes is None and not head.add:
        head = dataclasses.replace(head, classes=len(labels))
    if len(labels) != (head.classes or head.add):
        raise SchemeError(
            f"--labels: {len(labels)} names for {head.classes or head.add} new classes; give one "
            "for each"
        )
    return dataclasses.replace(head, labels=labels)


def require_another_file(output: Path, source: Path) -> None:
    """Keeps a model from being overwritten by what is made of it.

    Raises:
      TflmTrainError: The two are one file.
    """
    if output.resolve() == source.resolve():
        raise TflmTrainError(f"{output} is the input model itself; choose another name with -o")


def draw_both(stem: str, before: MemoryReport, after: MemoryReport, force: bool) -> tuple[str, ...]:
    """Draws two arenas over time.

    Args:
      stem: What `STEM_before.png` and `STEM_after.png` begin with.
      before: One arena.
      after: The other.
      force: Overwrite files that are not ours.

    Returns:
      The files' names.
    """
    plots = []
    for name, report in (("before", before), ("after", after)):
        path = Path(f"{stem}_{name}.png")
        write_file(path, draw_memory(report), is_png, force)
        plots.append(str(path))
    return tuple(plots)


class _Progress(Progress):
    """Where nobody watches, a line now and then instead of a bar."""

    def __init__(self, *columns: ProgressColumn, console: Console, quiet: bool) -> None:
        # In a pipe or a log file a bar is nothing but stray blank lines.
        self._lines = not console.is_terminal and not quiet
        self._told = time.monotonic()
        super().__init__(
            *columns, console=console, disable=quiet or not console.is_terminal, transient=True
        )

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """See `rich.progress.Progress.update`."""
        super().update(task_id, **changes)
        if not self._lines or time.monotonic() - self._told < SECONDS_BETWEEN:
            return
        self._told = time.monotonic()
        task = self._tasks[task_id]
        of = "" if task.total is None else f"/{task.total:g}"
        self.console.print(f"{task.description}  {task.completed:g}{of}", soft_wrap=True)


def progress(quiet: bool) -> Progress:
    """Progress on standard error; nothing where `quiet`."""
    return _Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
        console=tables.error_console(),
        quiet=quiet,
    )


@contextlib.contextmanager
def trial_progress() -> Iterator[OnTrial]:
    """Says on standard error how many variants were tried, also where nobody watches.

    Yields:
      What `Trials` is to tell; on a terminal one line that changes, elsewhere a line now and then.
    """
    console = tables.error_console()
    begin = last = time.monotonic()
    if console.is_terminal:
        with console.status("trying what fits") as status:
            yield lambda count, _: status.update(_tried(count, begin))
        return

    def tell(count: int, _: Costs) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS_BETWEEN:
            last = time.monotonic()
            console.print(_tried(count, begin), soft_wrap=True)

    yield tell


def _tried(count: int, begin: float) -> str:
    return f"{tables.counted(count, 'variant')} tried in {time.monotonic() - begin:.0f} s"
