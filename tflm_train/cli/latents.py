"""What commands that run models have in common: the cache of latents, and its progress."""

from __future__ import annotations

import sys
import time

from rich.progress import Progress, TaskID

from tflm_train.cli.command import Parser
from tflm_train.learning.frozen_once import OnLatent
from tflm_train.learning.latent_cache import CACHE_VARIABLE, DEFAULT_LIMIT


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
