"""The learning rate of a run, chosen by short runs before it.

The samples to train on are split: short runs at several rates learn from one part and are judged by
the other. A walk over decades finds where a model learns at all; rates around there then meet in
longer runs. What judges them is a few hundred samples, so the best of them is best by chance as
often as not: the choice is the mean of the rates, each weighted by how well it may be the best one.
All runs start from the state that the run will start from, which is put back at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.metrics import metric_for
from tflm_train.runtime.schedule import DEFAULT_SCHEDULE, learning_rate_at
from tflm_train.runtime.training import Inputs, infer_one

Array = npt.NDArray[Any]
OnTrial = Callable[[float, int, int], None]
"""Called with the rate that is tried, the steps done and about how many there will be."""

FIRST_RATE = 1e-2
"""Where the walk begins."""
LOWEST_RATE, HIGHEST_RATE = 1e-6, 1e3
LEAST_BUDGET = 4000
"""Steps, however short the run: a small data set has few, and a choice needs some."""
_MOST_RUNS = 10
"""More than so many times the steps of a short run are not worth its rate."""
_INFERENCE_COST = 0.4
"""Of a training step."""
_MOST_HELD_OUT, _ENOUGH_HELD_OUT, _MOST_FOLDS = 256, 200, 4
_WALK = 0.15
"""Share of the budget for the walk over decades; the rest is for the rates around its best."""
_DECADES = 5
"""So many of them a walk takes as a rule."""
_AROUND, _APART, _MOST_BEYOND = 4, 10**0.4, 2
"""Rates that are compared, what is between them, and how many more where the best is the last."""
_USUAL_PASSES, _FEWEST_PASSES, _MOST_PASSES, _EXPONENT = 5, 3, 15, 0.4
"""A run that sees each sample more often than usual wants larger rates than short runs, which see
it once or twice; fitted to seven tasks (benchmarks/README.md)."""
_LEAST_STEPS, _LONG_ENOUGH, _LONG_SHARE = 16, 450, 0.1
"""Steps of a short run at least, and those (or that share of the run's) beyond which several tell
more than a longer one."""
_WORSE, _MOST_IN_VAIN = 0.1, 2
"""A walk ends where the error is higher than the best by that share of the first one, or after so
many decades in a row that were no better than the best."""


@dataclass(frozen=True)
class TriedRate:
    """What short runs at a rate gave; of several lengths the longest.

    Attributes:
      rate: Of the first step.
      steps: Of each of the short runs.
      loss: Mean of the training loss over the last of their steps.
      score: Accuracy, or mean squared error, as the metric of the model is.
      error: What rates are ranked by, lower is better (`Metric.error`).
      is_held_out: Whether score and error are of samples that were not learnt from; else of the
        last steps' samples, before each step.
    """

    rate: float
    steps: int
    loss: float
    score: float
    error: float
    is_held_out: bool = False


@dataclass(frozen=True)
class RateChoice:
    """A learning rate and why it was chosen.

    Attributes:
      rate: Of the first step; it may lie between two of those tried.
      tried: By rate, ascending.
      steps: Training steps that the choice took, inferences not counted.
    """

    rate: float
    tried: tuple[TriedRate, ...]
    steps: int


def default_budget(steps: int) -> int:
    """How many steps a choice of the rate may take.

    Args:
      steps: Of the run that the rate is for.
    """
    return max(min(LEAST_BUDGET, _MOST_RUNS * steps), steps // 2)


def choose_rate(
    interpreter: Interpreter,
    x: Inputs,
    y: Array,
    *,
    steps: int,
    budget: int | None = None,
    schedule: str = DEFAULT_SCHEDULE,
    seed: int = 0,
    on_trial: OnTrial | None = None,
) -> RateChoice:
    """Chooses the learning rate of a run; the state is afterwards what it was.

    Args:
      interpreter: What runs the steps (the tail of `FrozenOnce`), in the state to start from.
      x: What it takes for each sample that the run trains on.
      y: Their targets.
      steps: Of the run, all epochs.
      budget: About so many steps may be taken; None for `default_budget`.
      schedule: Of the run.
      seed: Of the split and of the samples' order.
      on_trial: Told of the progress.

    Returns:
      The rate, the same for the same arguments.
    """
    budget = default_budget(steps) if budget is None else budget
    trials = _Trials(interpreter, x, y, steps, budget, schedule, seed, on_trial)
    try:
        return trials.choose()
    finally:
        trials.restore()


@dataclass(frozen=True)
class _Fold:
    """Indices of the samples of one split."""

    train: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.int64]


def folds_of(y: Array, seed: int) -> list[_Fold]:
    """Splits of a data set: one of a large one, several of a small one.

    Where targets are class indices, every part has each class's share.

    Args:
      y: [n, ...] targets.
      seed: Of the split.
    """
    count = len(y)
    order = np.random.default_rng([seed, count]).permutation(count)
    if count < 2:
        return [_Fold(order, order)]
    if y.ndim == 1 and y.dtype.kind in "iu":
        place = np.zeros(count)
        for label in np.unique(y):
            of_class = order[y[order] == label]
            place[of_class] = (np.arange(len(of_class)) + 0.5) / len(of_class)
        order = order[np.argsort(place[order], kind="stable")]
    held = max(1, min(_MOST_HELD_OUT, count // 4))
    folds = min(_MOST_FOLDS, -(-_ENOUGH_HELD_OUT // held), count // held)
    starts = range(0, folds * held, held)
    return [
        _Fold(np.concatenate([order[:start], order[start + held :]]), order[start : start + held])
        for start in starts
    ]


@dataclass
class _Trials:
    """Short runs at several rates."""

    interpreter: Interpreter
    x: Inputs
    y: Array
    run_steps: int
    budget: int
    schedule: str
    seed: int
    on_trial: OnTrial | None
    done: int = 0
    tried: dict[float, TriedRate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._start = self.interpreter.state()
        self._folds = folds_of(self.y, self.seed)
        self._metric = metric_for(self.interpreter, self.y)

    def restore(self) -> None:
        """Puts the state back."""
        self.interpreter.load_state(self._start)

    def choose(self) -> RateChoice:
        rate = middle(self._walk())
        half = (_AROUND - 1) / 2
        compared: dict[float, Array] = {}
        for number in range(_AROUND):
            self._compare(_rounded(rate * _APART ** (number - half)), compared)
        for _ in range(_MOST_BEYOND):
            best = min(compared, key=lambda rate: float(np.mean(compared[rate])))
            if min(compared) < best < max(compared):
                break
            beyond = best * _APART if best == max(compared) else best / _APART
            self._compare(_rounded(min(HIGHEST_RATE, max(LOWEST_RATE, beyond))), compared)
        tried = tuple(self.tried[rate] for rate in sorted(self.tried))
        rate = middle(compared) * self._longer_run(max(one.steps for one in tried))
        return RateChoice(_rounded(rate), tried, self.done)

    def _longer_run(self, short: int) -> float:
        """How much larger the rate of the run is than that of short runs of so many steps."""
        if 2 * short >= self.run_steps:
            return 1.0
        passes = min(_MOST_PASSES, max(_FEWEST_PASSES, self.run_steps / len(self.y)))
        return float((passes / _USUAL_PASSES) ** _EXPONENT)

    def _walk(self) -> dict[float, Array]:
        """Tries decades upwards and downwards, each way until they bring nothing any more.

        All of them see the same samples in the same order, so that they can be compared by the
        answers they give before they learn from a sample: the errors of these by rate.
        """
        steps = self._bounded(_WALK * self.budget / _DECADES)
        found = {FIRST_RATE: self._first_look(FIRST_RATE, steps)}
        first = best = float(np.mean(found[FIRST_RATE]))
        for factor in (10.0, 0.1):
            rate, in_vain = _rounded(FIRST_RATE * factor), 0
            while LOWEST_RATE <= rate <= HIGHEST_RATE and in_vain < _MOST_IN_VAIN:
                found[rate] = self._first_look(rate, steps)
                error = float(np.mean(found[rate]))
                in_vain = 0 if error < best else in_vain + 1
                best = min(best, error)
                if error > best + _WORSE * first:
                    break
                rate = _rounded(rate * factor)
        return found

    def _first_look(self, rate: float, steps: int) -> Array:
        """The errors of the second half of a short run."""
        found = np.array(self._run(rate, steps, self._folds[0])[steps // 2 :])
        loss, score, error = (float(value) for value in np.mean(found, axis=0))
        self.tried[rate] = TriedRate(rate, steps, loss, score, error)
        return found[:, 2]

    def _compare(self, rate: float, compared: dict[float, Array]) -> None:
        """Judges a rate by held-out samples: adds their errors to those of others.

        Several runs, each with a split of its own, where the samples are few and as long as the
        runs stay long enough, or where the budget allows longer ones than the run itself.
        """
        if rate in compared:
            return
        budget = (1.0 - _WALK) * self.budget / _AROUND
        enough = min(_LONG_ENOUGH, _LONG_SHARE * self.run_steps)
        count = min(len(self._folds), max(1, int(budget / enough)))
        count = max(count, min(len(self._folds), int(budget / self.run_steps)))
        each = budget / count
        held_out = min(len(self._folds[0].held_out), int(0.4 * each / _INFERENCE_COST) + 1)
        steps = self._bounded(each - held_out * _INFERENCE_COST)
        losses, found = [], []
        for fold in self._folds[:count]:
            losses += [loss for loss, *_ in self._run(rate, steps, fold)[-max(1, steps // 4) :]]
            found += [self._judged(index) for index in fold.held_out[:held_out]]
        score, error = (float(value) for value in np.mean(found, axis=0))
        self.tried[rate] = TriedRate(rate, steps, float(np.mean(losses)), score, error, True)
        compared[rate] = np.array([one for _, one in found])

    def _bounded(self, steps: float) -> int:
        return max(1, min(self.run_steps, max(int(steps), _LEAST_STEPS)))

    def _run(self, rate: float, steps: int, fold: _Fold) -> list[tuple[float, float, float]]:
        """One short run; of each step the loss, and score and error before it."""
        interpreter = self.interpreter
        interpreter.load_state(self._start)
        found = []
        for step, index in zip(range(steps), self._samples(fold), strict=False):
            target = None if interpreter.learns_its_input else self.y[index]
            now = learning_rate_at(self.schedule, rate, step, steps)
            loss = interpreter.train_step(self.x[index], target, now)
            found.append((loss, *self._scored(interpreter.output(), index)))
            self.done += 1
            if self.on_trial is not None:
                self.on_trial(rate, self.done, max(self.budget, self.done))
        return found

    def _samples(self, fold: _Fold) -> Iterator[int]:
        epoch = 0
        while True:
            rng = np.random.default_rng([self.seed, epoch, len(fold.train)])
            yield from fold.train[rng.permutation(len(fold.train))]
            epoch += 1

    def _judged(self, index: int) -> tuple[float, float]:
        return self._scored(infer_one(self.interpreter, self.x[index]), index)

    def _scored(self, answer: Array, index: int) -> tuple[float, float]:
        """Score and error of an answer to a sample."""
        target = self.y[index]
        return self._metric.score(answer, target), self._metric.error(answer, target)


def middle(errors: Mapping[float, Array]) -> float:
    """The mean of rates (of their logarithms), weighted by how well each may be the best.

    A weight is the likelihood that a rate is as good as the best one: by how many standard errors,
    of the differences sample by sample, it is worse.

    Args:
      errors: By rate those of the same samples.
    """
    best = min(errors, key=lambda rate: float(np.mean(errors[rate])))
    weights = {}
    for rate, found in errors.items():
        difference = found - errors[best]
        noise = float(np.std(difference)) / math.sqrt(len(difference))
        mean = float(np.mean(difference))
        weights[rate] = math.exp(-0.5 * (mean / noise) ** 2) if noise else float(mean == 0.0)
    total = sum(weights.values())
    return math.exp(sum(weight * math.log(rate) for rate, weight in weights.items()) / total)


def _rounded(rate: float) -> float:
    """To two digits, so that it can be said and given again."""
    return float(f"{rate:.1e}")
