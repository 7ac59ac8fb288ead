"""What commands that fine-tune many times have in common: who works, and how far it is."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import BarColumn, Progress, TaskID, TextColumn

from tflm_train.cli import latents, shared, tables
from tflm_train.cli.command import Parser
from tflm_train.errors import DataError
from tflm_train.learning.latent_cache import LatentCache
from tflm_train.model import Model
from tflm_train.search.fine_tune import FineTuner
from tflm_train.search.processes import Processes
from tflm_train.search.ray_workers import LOCAL, RayWorkers
from tflm_train.search.results import Results
from tflm_train.search.split_data import SplitData
from tflm_train.search.workers import InProcess, Workers

_REMEMBERED = 50
"""Reports of progress that the speed is taken from."""


def add_workers(parser: Parser) -> None:
    """Adds --workers, --ray and --cache, for `workers_for`."""
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that fine-tune (default: one for each core; 1: this process alone)",
    )
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="fine-tune on a Ray cluster: `host:port`, `auto`, or `local` to start one here "
        "(pip install 'tflm_train[ray]')",
    )
    latents.add_cache(parser)


@contextlib.contextmanager
def workers_for(
    arguments: argparse.Namespace, model: Model, data: SplitData
) -> Iterator[tuple[Workers, Results]]:
    """Who fine-tunes, and where the results are kept; both end with the context.

    Raises:
      DataError: A number of workers below 1.
    """
    count = cores() if arguments.workers is None else arguments.workers
    if count < 1:
        raise DataError(f"--workers {count} must be at least 1")
    with contextlib.ExitStack() as stack:
        cache = LatentCache.of_user(arguments.cache)
        results = Results.beside(cache)
        if cache is None:
            # Candidates share latents all the same.
            cache = LatentCache(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        tuner = FineTuner(model, data, cache)
        workers: Workers = InProcess(tuner)
        if arguments.ray is not None:
            workers = RayWorkers(tuner, arguments.ray, count if arguments.ray == LOCAL else None)
        elif count > 1:
            workers = Processes(tuner, count)
        stack.callback(workers.close)
        yield workers, results


@dataclass
class WorkProgress:
    """How far the work is and how long it still takes, on standard error.

    A bar on a terminal, else a line now and then.

    Attributes:
      quiet: Show nothing.
    """

    quiet: bool
    _seen: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    _told: float = 0.0
    _bar: Progress | None = None
    _task: TaskID | None = None

    def __enter__(self) -> WorkProgress:
        console = tables.error_console()
        if console.is_terminal and not self.quiet:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:.0f} %"),
            )
            self._bar = Progress(*columns, console=console, transient=True)
            self._task = self._bar.add_task("", total=1.0)
            self._bar.start()
        self._told = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, what: str, done: float, wanted: float) -> None:
        """Shows that `done` of `wanted` is done, in any unit; now `what` is measured."""
        now = time.monotonic()
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()  # Something else is counted now.
        self._seen.append((now, done))
        text = f"{what}{self._left(wanted)}"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=text, completed=done, total=wanted)
        elif not self.quiet and now - self._told >= shared.SECONDS_BETWEEN:
            self._told = now
            print(f"{done / wanted:.0%} {text}", file=sys.stderr, flush=True)

    def _left(self, wanted: float) -> str:
        (first, before), (now, done) = self._seen[0], self._seen[-1]
        if done <= before:
            return ""
        seconds = (wanted - done) * (now - first) / (done - before)
        return f", about {_duration(seconds)} left"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def going_on() -> str:
    """What to say when somebody presses Ctrl-C."""
    return "what was measured is kept; the same command goes on from there"
