"""Who runs the tasks: this process, several, or a cluster. The results are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tflm_train.learning.frozen_once import OnLatent
from tflm_train.scheme import Scheme
from tflm_train.search.fine_tune import FineTune, FineTuned, FineTuner
from tflm_train.search.results import Results

OnDone = Callable[[FineTune, FineTuned], None]
"""Told of each result as it comes, in any order, in the process that asked for it."""


class Workers(Protocol):
    """Runs tasks of one model on one set of data.

    Attributes:
      tuner: What the tasks are about; for what this process does alone.
    """

    tuner: FineTuner

    def run(self, tasks: Sequence[FineTune], on_done: OnDone) -> list[FineTuned]:
        """The results in the order of the tasks; see `FineTuner.run` for errors."""
        ...

    def prepare(self, schemes: Iterable[Scheme], on_latent: OnLatent) -> None:
        """See `FineTuner.fill_cache`; before many runs it saves time."""
        ...

    def close(self) -> None:
        """Ends what was started."""
        ...


@dataclass
class InProcess:
    """Runs one task after the other; see `Workers`."""

    tuner: FineTuner

    def run(self, tasks: Sequence[FineTune], on_done: OnDone) -> list[FineTuned]:
        """See `Workers`."""
        results = []
        for task in tasks:
            results.append(self.tuner.run(task))
            on_done(task, results[-1])
        return results

    def prepare(self, schemes: Iterable[Scheme], on_latent: OnLatent) -> None:
        """See `Workers`."""
        self.tuner.fill_cache(schemes, on_latent)

    def close(self) -> None:
        """See `Workers`."""


def run_tasks(
    tasks: Sequence[FineTune], workers: Workers, results: Results, on_done: OnDone
) -> list[FineTuned]:
    """Runs what no earlier run has measured; each result is kept as soon as it is there.

    Args:
      tasks: What to measure; the same one may be named twice.
      workers: Who runs them.
      results: Where results are kept.
      on_done: Told of each task, at once of those whose result is there already.

    Returns:
      The results in the order of the tasks.
    """
    missing = {}
    for task in tasks:
        found = results.get(task.key)
        if found is None:
            missing[task.key] = task
        else:
            on_done(task, found)

    def keep(task: FineTune, result: FineTuned) -> None:
        results.put(result)
        on_done(task, result)

    made = dict(zip(missing, workers.run(list(missing.values()), keep), strict=True))
    return [made[task.key] if task.key in made else _kept(results, task) for task in tasks]


def _kept(results: Results, task: FineTune) -> FineTuned:
    found = results.get(task.key)
    assert found is not None  # It was there a moment ago, and this process remembers it.
    return found
