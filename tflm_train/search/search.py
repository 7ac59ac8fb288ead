"""Searches what to train: analysis, optimum, and real fine-tunes of the best few.

Everything that is decided follows from the model, the data, and a plan that is made once and kept
on disk beside the results: how many steps and seeds the time that was given is enough for. So a
search that is killed and started again makes the same decisions, on results that are there already,
and ends with the same scheme.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np

from tflm_train.cost.boards import DEFAULT_CLOCK
from tflm_train.model import Model
from tflm_train.rewriter.coins import Budget
from tflm_train.rewriter.trials import Trials, Way
from tflm_train.scheme.head import Head
from tflm_train.search.choices import Space
from tflm_train.search.contenders import RESIDUALS, Contender, Contenders
from tflm_train.search.contributions import Contributions, analyze
from tflm_train.search.evolution import Evolution
from tflm_train.search.fine_tune import FineTune, FineTuned, model_digest
from tflm_train.search.front import FrontPoint, front
from tflm_train.search.measure import OnProgress
from tflm_train.search.objective import Objective
from tflm_train.search.optimum import Found, Optimizer
from tflm_train.search.plan import Plan
from tflm_train.search.results import Results
from tflm_train.search.split_data import SplitData
from tflm_train.search.true_costs import Measure, TrueCosts
from tflm_train.search.workers import Workers, run_tasks

OpenWorkers = Callable[[SplitData], AbstractContextManager[tuple[Workers, Results]]]
"""Makes workers for a set of data, and the place of their results."""
METHODS = ("exact", "evolution")
"""How the best choice is found."""
_MOST_TEST = 2000


@dataclass(frozen=True)
class Scored:
    """A contender after its fine-tunes.

    Attributes:
      contender: The scheme.
      chosen_by: Its run on the samples that choose, from which the finalists follow.
      finals: Its runs on the samples that chose nothing, a seed each; empty where it was no
        finalist.
    """

    contender: Contender
    chosen_by: FineTuned | None = None
    finals: tuple[FineTuned, ...] = ()

    @property
    def score(self) -> float:
        """Mean over the finals; minus infinity without any."""
        return statistics.fmean(x.score for x in self.finals) if self.finals else -math.inf

    @property
    def rank(self) -> tuple[float, float]:
        """What contenders are sorted by, the best first.

        How wrong the answers of the finals are, then those of the run that chose: that tells apart
        what is right equally often (`Metric.error`).
        """
        finals = statistics.fmean(x.error for x in self.finals) if self.finals else math.inf
        return finals, math.inf if self.chosen_by is None else self.chosen_by.error

    @property
    def error(self) -> float:
        """Standard error of `score`, over seeds and samples."""
        scores = np.array([x.scores for x in self.finals])
        by_sample, by_seed = scores.mean(axis=0), scores.mean(axis=1)
        squared = by_sample.var() / len(by_sample)
        if len(by_seed) > 1:
            squared += by_seed.var(ddof=1) / len(by_seed)
        return float(math.sqrt(squared))


@dataclass(frozen=True)
class Outcome:
    """What was found for one budget.

    Attributes:
      budget: The most that a scheme may cost.
      optima: What the exact search found: with all residual bits, without, and a different one.
      ranked: All contenders, the best first; those that were no finalists behind these.
    """

    budget: Budget
    optima: tuple[Found, ...]
    ranked: tuple[Scored, ...]

    @property
    def best(self) -> Scored | None:
        """The scheme to take; None where nothing fits."""
        return self.ranked[0] if self.ranked else None


@dataclass(frozen=True)
class Searched:
    """What a search found.

    Attributes:
      space: The model's choices that were measured.
      contributions: What each part brings.
      outcomes: For each budget.
      front: The best of the summed contributions at other budgets.
      plan: How the time was spent.
      rewrites: How many schemes were rewritten to know their costs.
      is_complete: Whether it ran to its end.
    """

    space: Space
    contributions: Contributions
    outcomes: tuple[Outcome, ...]
    front: tuple[FrontPoint, ...]
    plan: Plan
    rewrites: int
    is_complete: bool


@dataclass
class _Owners:
    """Tasks, and the contenders that each is a run of: several may be the same scheme."""

    by_key: dict[str, list[Contender]] = field(default_factory=dict)
    tasks: list[FineTune] = field(default_factory=list)

    def add(self, task: FineTune, contender: Contender) -> None:
        if task.key not in self.by_key:
            self.tasks.append(task)
        self.by_key.setdefault(task.key, []).append(contender)

    def of(self, task: FineTune) -> list[Contender]:
        return self.by_key[task.key]


@dataclass
class Search:
    """A search, step by step.

    Attributes:
      trials: Rewrites of the factory model.
      data: The user's data.
      head: What becomes of the model's last layer.
      way: How forward layers run.
      budgets: The most that a scheme may cost; one scheme is found for each.
      plan: How many steps and seeds.
      open_workers: Who fine-tunes.
      on_progress: Told of progress.
      method: Of `METHODS`.
      clock: Of the core, in Hz.
      scored: What was fine-tuned so far.
    """

    trials: Trials
    data: SplitData
    head: Head
    way: Way
    budgets: Sequence[Budget]
    plan: Plan
    open_workers: OpenWorkers
    on_progress: OnProgress = lambda *_: None
    method: str = METHODS[0]
    clock: int = DEFAULT_CLOCK
    scored: dict[Contender, Scored] = field(default_factory=dict)

    @property
    def model(self) -> Model:
        """The factory model."""
        return self.trials.model

    def run(self, contributions: Contributions | None = None) -> Searched:
        """Searches.

        Args:
          contributions: Those of an earlier analysis of the model; None: they are measured.

        Raises:
          UnsupportedError: Nothing of the model can train.
          DataError: The data do not fit the model.
        """
        measure = Measure(self.trials, self.way, self.clock)
        found: list[tuple[Budget, tuple[Found, ...], tuple[Contender, ...]]] = []
        points: tuple[FrontPoint, ...] = ()
        is_complete = False
        with self.open_workers(self.data) as (workers, results):
            if contributions is None:
                contributions = self._analyze(workers, results)
            objective = Objective.of(contributions)
            space = objective.limit(Space.of(self.model, self.head))
            make = Optimizer if self.method == METHODS[0] else Evolution
            optimizers = {
                bits: make(space, objective, TrueCosts(space, measure, bits))
                for bits in (RESIDUALS[0], RESIDUALS[-1])
            }
            contenders = Contenders(space, objective, measure, optimizers)
            with contextlib.suppress(KeyboardInterrupt):
                for number, budget in enumerate(self.budgets):
                    self.on_progress("optimum", number, len(self.budgets))
                    found.append((budget, *contenders.of(budget)))
                points = front(optimizers[RESIDUALS[-1]], self.budgets)
                every = {x for _, _, some in found for x in some}
                self._choose(every, workers, results)
                is_complete = True
        if is_complete:
            is_complete = False
            with contextlib.suppress(KeyboardInterrupt):
                self._final(self._finalists(found))
                is_complete = True
        outcomes = tuple(
            Outcome(budget, optima, self._ranked(some)) for budget, optima, some in found
        )
        return Searched(
            space, contributions, outcomes, points, self.plan, measure.count, is_complete
        )

    def _analyze(self, workers: Workers, results: Results) -> Contributions:
        plan = self.plan
        return analyze(
            self.model,
            self.data,
            self.head,
            workers,
            results,
            seeds=plan.seeds,
            fast=plan.fast,
            steps=plan.steps,
            depth=plan.depth,
            on_progress=self.on_progress,
        )

    def _choose(self, some: Iterable[Contender], workers: Workers, results: Results) -> None:
        """One run of each contender, on the samples that choose."""
        owners = _Owners()
        for contender in sorted(some, key=lambda x: repr(x.scheme)):
            owners.add(self._task(contender, self.data, self.plan.final_steps, 0), contender)

        def note(contender: Contender, result: FineTuned) -> None:
            self.scored[contender] = Scored(contender, result)

        self._run(owners, "contenders", note, workers, results)

    def _run(
        self,
        owners: _Owners,
        stage: str,
        note: Callable[[Contender, FineTuned], None],
        workers: Workers,
        results: Results,
    ) -> None:
        """Runs tasks; each result is noted for its owners as soon as it is there."""
        done = 0

        def on_done(task: FineTune, result: FineTuned) -> None:
            nonlocal done
            done += 1
            for contender in owners.of(task):
                note(contender, result)
            self.on_progress(stage, done, len(owners.tasks))

        # What frozen layers give is computed once for all that share them.
        schemes = dict.fromkeys(task.scheme for task in owners.tasks)
        workers.prepare(schemes, lambda done, all_: self.on_progress("frozen layers", done, all_))
        run_tasks(owners.tasks, workers, results, on_done)

    def _finalists(
        self, found: Iterable[tuple[Budget, tuple[Found, ...], tuple[Contender, ...]]]
    ) -> list[Contender]:
        """The best few of each budget, and the optimum whatever it scored."""
        finalists: dict[Contender, None] = {}
        for _, _, some in found:
            ranked = self._ranked(some)
            finalists.update(dict.fromkeys(x.contender for x in ranked[: self.plan.finalists]))
            finalists.update(dict.fromkeys(some[:1]))
        return list(finalists)

    def _final(self, finalists: Sequence[Contender]) -> None:
        """Runs on all training samples, scored on those that chose nothing."""
        data = final_data(self.data)
        owners = _Owners()
        for seed in range(self.plan.final_seeds):
            for contender in finalists:
                owners.add(self._task(contender, data, self.plan.final_steps, seed), contender)
        places = {task.key: place for place, task in enumerate(owners.tasks)}

        def note(contender: Contender, result: FineTuned) -> None:
            scored = self.scored.get(contender, Scored(contender))
            # In the order of the seeds, whichever worker was done first.
            finals = sorted((*scored.finals, result), key=lambda run: places[run.key])
            self.scored[contender] = dataclasses.replace(scored, finals=tuple(finals))

        with self.open_workers(data) as (workers, results):
            self._run(owners, "finals", note, workers, results)

    def _task(self, contender: Contender, data: SplitData, steps: int, seed: int) -> FineTune:
        return FineTune(model_digest(self.model), data.digest, contender.scheme, None, steps, seed)

    def _ranked(self, some: Sequence[Contender]) -> tuple[Scored, ...]:
        """The best first; what is as good as another stays as it was found."""
        return tuple(sorted((self.scored.get(x, Scored(x)) for x in some), key=lambda x: x.rank))


def final_data(data: SplitData) -> SplitData:
    """All training samples train, and those score that neither trained nor chose."""
    return SplitData(
        np.concatenate([data.x_train, data.x_select]),
        np.concatenate([data.y_train, data.y_select]),
        data.x_test[:_MOST_TEST],
        data.y_test[:_MOST_TEST],
        data.x_test,
        data.y_test,
        data.normalization,
    )
