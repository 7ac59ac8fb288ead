"""Runs the fine-tunes of an analysis in rounds: first each candidate's own rate, then more seeds.

A rate is chosen by the loss at the end of a run, of samples before they train: the samples that
choose have no part in it. The search walks on a grid of half decades, from the rate of what a
candidate is compared with, until both neighbours of the best one are worse.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tflm_train.scheme import Scheme
from tflm_train.search.candidates import Candidate
from tflm_train.search.fine_tune import FineTune, FineTuned
from tflm_train.search.results import Results
from tflm_train.search.workers import Workers, run_tasks

OnProgress = Callable[[str, float, float], None]
"""Called with what is measured, and how much work is done and wanted as far as is known."""
RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0)
"""What an own rate is chosen from."""
_ROUNDS = 3
"""Rates that a candidate takes, typically."""


class OutOfTimeError(Exception):
    """The time that was given is over."""


@dataclass
class Measurements:
    """Fine-tunes of candidates.

    Attributes:
      model: Names the factory model.
      data: Names the data.
      workers: Who runs them.
      results: Where they are kept.
      steps: Of each run.
      seeds: Runs of each candidate, at its own rate.
      deadline: By `time.monotonic`; None: whenever it is done.
      on_progress: Told of progress.
    """

    model: str
    data: str
    workers: Workers
    results: Results
    steps: int
    seeds: int
    deadline: float | None
    on_progress: OnProgress
    _places: list[Scheme] = field(default_factory=list)
    _found: dict[Candidate, dict[tuple[int, int], FineTuned]] = field(default_factory=dict)
    _done: float = 0.0
    _wanted: float = 0.0

    def plan(self, candidates: Sequence[Candidate]) -> None:
        """Says what is to come: for the progress, and for what all of it needs."""
        self._places = list({each.last: each.scheme for each in candidates}.values())
        self._wanted = sum(each.work for each in candidates) * (_ROUNDS + self.seeds - 1)

    def drop(self, candidates: Iterable[Candidate]) -> None:
        """Says that no more seeds of these are to come."""
        self._wanted -= sum(each.work for each in candidates) * (self.seeds - 1)

    def rate(self, candidate: Candidate) -> float | None:
        """A candidate's own rate, as `best`."""
        best = self.best(candidate)
        return None if best is None else RATES[best]

    def best(self, candidate: Candidate) -> int | None:
        """The index of a candidate's own rate, as far as is known; None before its first run."""
        first = {rate: run.loss for (rate, seed), run in self._of(candidate).items() if seed == 0}
        if not first:
            return None
        # What diverged may have no loss at all.
        return min(first, key=lambda rate: (math.isnan(first[rate]), first[rate], rate))

    def runs(self, candidate: Candidate) -> dict[int, FineTuned]:
        """The runs at its own rate, by seed."""
        best = self.best(candidate)
        return {seed: run for (rate, seed), run in self._of(candidate).items() if rate == best}

    def climb(self, candidates: Sequence[Candidate], start: Callable[[Candidate], int]) -> None:
        """Finds the own rate of each candidate, with the first seed.

        Args:
          candidates: Which.
          start: The index of a rate that is expected to be good.
        """
        wanted = {each: {start(each), max(0, start(each) - 1)} for each in candidates}
        while wanted:
            self._run(
                "rates", [(each, rate, 0) for each, rates in wanted.items() for rate in rates]
            )
            wanted = {each: more for each in wanted if (more := self._next_rates(each))}

    def try_all(self, candidate: Candidate) -> None:
        """Runs a candidate at every rate, with the first seed."""
        self._run("head", [(candidate, rate, 0) for rate in range(len(RATES))])

    def more_seeds(self, candidates: Sequence[Candidate]) -> None:
        """Runs candidates with all other seeds, at their own rates."""
        runs = []
        for each in candidates:
            best = self.best(each)
            if best is not None:
                runs += [(each, best, seed) for seed in range(1, self.seeds)]
        self._run("seeds", runs)

    def _of(self, candidate: Candidate) -> dict[tuple[int, int], FineTuned]:
        return self._found.setdefault(candidate, {})

    def _next_rates(self, candidate: Candidate) -> set[int]:
        best = self.best(candidate)
        assert best is not None
        around = {rate for rate in (best - 1, best + 1) if 0 <= rate < len(RATES)}
        return around - {rate for rate, _ in self._of(candidate)}

    def _run(self, title: str, runs: Sequence[tuple[Candidate, int, int]]) -> None:
        by_key = {}
        tasks = []
        for candidate, rate, seed in runs:
            task = FineTune(self.model, self.data, candidate.scheme, RATES[rate], self.steps, seed)
            by_key[task.key] = (candidate, rate, seed)
            tasks.append(task)

        known = {task.key for task in tasks if self.results.get(task.key) is not None}

        def on_done(task: FineTune, result: FineTuned) -> None:
            candidate, rate, seed = by_key[task.key]
            self._of(candidate)[rate, seed] = result
            self._done += candidate.work
            self._wanted = max(self._wanted, self._done)
            self.on_progress(title, self._done, self._wanted)
            is_late = self.deadline is not None and time.monotonic() > self.deadline
            if is_late and task.key not in known:
                raise OutOfTimeError

        if self._places and len(known) < len(by_key):
            places, self._places = self._places, []
            self.workers.prepare(
                places, lambda done, count: self.on_progress("frozen layers", done, count)
            )
        run_tasks(tasks, self.workers, self.results, on_done)
