"""What several commands have in common: arguments, progress, pictures."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from tflm_train.cli import tables
from tflm_train.cli.command import Parser
from tflm_train.errors import TflmTrainError
from tflm_train.files import is_png, write_file
from tflm_train.learning.frozen_once import OnLatent
from tflm_train.learning.latent_cache import CACHE_VARIABLE, DEFAULT_LIMIT
from tflm_train.memory import KernelSet, MemoryReport
from tflm_train.memory.plot import draw_memory
from tflm_train.rewriter.optimize import Forward, Streaming

DATA_HELP = (
    "an .npz file with x_train, y_train, x_test, y_test (uint8 images are resized to the model's "
    "input; float arrays are quantized; y: class indices, or a value per output), or a folder of "
    "images by class"
)


def add_force(parser: Parser) -> None:
    """Adds --force, for `write_file`."""
    parser.add_argument("--force", action="store_true", help="overwrite files that are not ours")


def add_kernels(parser: Parser) -> None:
    """Adds --kernels, a `KernelSet`."""
    parser.add_argument(
        "--kernels",
        choices=[str(kernels) for kernels in KernelSet],
        default=str(KernelSet.CMSIS_NN),
        help="what runs the builtin operators: TFLM's reference kernels, or CMSIS-NN on a core "
        "with the DSP extension (cmsis_nn, default), with Helium, or with neither (_basic)",
    )


def add_forward(parser: Parser, stream: Streaming, forward: Forward) -> None:
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


def add_cache(parser: Parser) -> None:
    """Adds --cache, for `LatentCache.of_user`."""
    parser.add_argument(
        "--cache",
        metavar="DIR",
        help="where to keep what frozen layers give for each sample, or `none` (default: "
        f"${CACHE_VARIABLE}, else tflm_train in $XDG_CACHE_HOME or ~/.cache; at most "
        f"{DEFAULT_LIMIT >> 30} GB)",
    )


def frozen_layers(progress: Progress, quiet: bool) -> OnLatent:
    """Shows how far the frozen layers are; in a pipe or log file, one line when they are through.

    Args:
      progress: Where a bar is added.
      quiet: Show nothing.
    """
    tasks: list[TaskID] = []
    started = time.monotonic()

    def on_latent(done: int, count: int) -> None:
        if not tasks:
            tasks.append(progress.add_task("frozen layers", total=count))
        progress.update(tasks[0], completed=done, visible=done < count)
        if done == count and progress.disable and not quiet:
            seconds = time.monotonic() - started
            print(f"frozen layers: {count} samples, {seconds:.1f} s", file=sys.stderr)

    return on_latent


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


def progress(quiet: bool) -> Progress:
    """A progress bar on standard error, invisible where `quiet` or where nobody watches."""
    console = tables.error_console()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
        console=console,
        # In a pipe or a log file a bar is nothing but stray blank lines.
        disable=quiet or not console.is_terminal,
        transient=True,
    )
