"""The learning rate of a run, chosen by short runs before it.

The samples to train on are split: short runs at several rates learn from one part and are judged by
the other. A walk over decades finds where a model learns at all; rates around there then meet in
longer runs. What judges them is a few hundred samples, so the best of them is best by chance as
often as not: the choice is the mean of the rates, each weighted by how well it may be the best one.
All runs start from the state that the run will start from, which is put back at the end.

A rate that is far too large makes a classifier give one answer to all, or the one it was told last;
among a few samples that is right as often as a model that has only begun to learn. Such rates are
left out where a rate is about as good at which the model does learn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.learning.folds import Fold, folds_of
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.metrics import chooses_one, metric_for
from tflm_train.runtime.schedule import DEFAULT_SCHEDULE, learning_rate_at
from tflm_train.runtime.training import Inputs, infer_one

Array = npt.NDArray[Any]
OnTrial = Callable[[float, int, int], None]
"""Called with the rate that is tried, the steps done and about how many there will be."""

FIRST_RATE = 1e-2
"""Where the walk begins."""
LOWEST_RATE, HIGHEST_RATE = 1e-6, 1e3
LEAST_BUDGET = 8000
"""Steps, however short the run: a small data set has few, and a choice needs some."""
_MOST_RUNS = 10
"""More than so many times the steps of a short run are not worth its rate."""
_INFERENCE_COST = 0.4
"""Of a training step."""
_WALK = 0.15
"""Share of the budget for the walk over decades; the rest is for the rates around its best."""
_DECADES = 5
"""So many of them a walk takes as a rule."""
_AROUND, _APART, _MOST_BEYOND = 4, 10**0.4, 2
"""Rates that are compared, what is between them, and how many more where the best is the last."""
_USUAL_PASSES, _FEWEST_PASSES, _MOST_PASSES, _EXPONENT = 5, 3, 15, 0.6
"""A run that sees each sample more often than usual wants larger rates than short runs, which see
it once or twice; fitted to six tasks (benchmarks/README.md)."""
_LEAST_STEPS, _LONG_ENOUGH, _LONG_SHARE = 16, 450, 0.1
"""Steps of a short run at least, and those (or that share of the run's) beyond which several tell
more than a longer one."""
_NEARLY_ALL = 0.8
"""So large a share of one class makes that class a sound answer to all."""
_CLEARLY = 2.0
"""Standard errors by which rates at which nothing is learned have to be better than the others."""
_WORSE, _MOST_IN_VAIN = 0.1, 2
"""A walk ends where the error is higher than the best by that share of the first one, or after so
many decades in a row that were no better than the best."""


@dataclass(frozen=True)
class TriedRate:
    """What short runs at a rate gave; of several lengths the longest.

    Attributes:
      rate: The largest of the run.
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
      rate: The largest of the run; it may lie between two of those tried.
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
    groups: Array | None = None,
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
      groups: [n] what each sample comes from: samples of one are not judged by a run on others of
        it. None where nothing is known.
      budget: About so many steps may be taken; None for `default_budget`.
      schedule: Of the run.
      seed: Of the split and of the samples' order.
      on_trial: Told of the progress.

    Returns:
      The rate, the same for the same arguments.
    """
    budget = default_budget(steps) if budget is None else budget
    trials = _Trials(interpreter, x, y, groups, steps, budget, schedule, seed, on_trial)
    try:
        return trials.choose()
    finally:
        trials.restore()


@dataclass(frozen=True)
class _Judged:
    """What one answer is worth.

    Attributes:
      score: As the model's metric has it.
      error: What rates are ranked by.
      answer: The class that was given, of a classifier.
      wanted: The class that is right.
    """

    score: float
    error: float
    answer: int = 0
    wanted: int = 0


@dataclass
class _Trials:
    """Short runs at several rates."""

    interpreter: Interpreter
    x: Inputs
    y: Array
    groups: Array | None
    run_steps: int
    budget: int
    schedule: str
    seed: int
    on_trial: OnTrial | None
    done: int = 0
    tried: dict[float, TriedRate] = field(default_factory=dict)
    in_vain: set[float] = field(default_factory=set)
    """Rates at which nothing was learned."""

    def __post_init__(self) -> None:
        self._start = self.interpreter.state()
        self._folds = folds_of(self.y, self.seed, self.groups)
        self._metric = metric_for(self.interpreter, self.y)
        self._hopeless_loss = math.inf

    def restore(self) -> None:
        """Puts the state back."""
        self.interpreter.load_state(self._start)

    def choose(self) -> RateChoice:
        rate = middle(self._promising(self._walk()))
        half = (_AROUND - 1) / 2
        compared: dict[float, Array] = {}
        for number in range(_AROUND):
            self._compare(_rounded(rate * _APART ** (number - half)), compared)
        for _ in range(_MOST_BEYOND):
            best = _best(self._promising(compared))
            if min(compared) < best < max(compared):
                break
            beyond = best * _APART if best == max(compared) else best / _APART
            self._compare(_rounded(min(HIGHEST_RATE, max(LOWEST_RATE, beyond))), compared)
        tried = tuple(self.tried[rate] for rate in sorted(self.tried))
        rate = middle(self._promising(compared)) * self._longer_run(max(one.steps for one in tried))
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
        self._hopeless_loss = self._loss_of_guessing(steps)
        found = {FIRST_RATE: self._first_look(FIRST_RATE, steps)}
        first = best = float(np.mean(found[FIRST_RATE]))
        if FIRST_RATE in self.in_vain:
            best = math.inf
        for factor in (10.0, 0.1):
            rate, no_better = _rounded(FIRST_RATE * factor), 0
            while LOWEST_RATE <= rate <= HIGHEST_RATE and no_better < _MOST_IN_VAIN:
                found[rate] = self._first_look(rate, steps)
                error = math.inf if rate in self.in_vain else float(np.mean(found[rate]))
                no_better = 0 if error < best else no_better + 1
                best = min(best, error)
                if math.inf > error > best + _WORSE * first:
                    break
                rate = _rounded(rate * factor)
        return found

    def _loss_of_guessing(self, steps: int) -> float:
        """The loss above which a classifier has not begun to learn after half of the steps.

        It is that of the model as it is, on the samples that follow, or that of guessing where it
        knows less than that.
        """
        if not chooses_one(self.interpreter) or self._metric.positions > 1:
            return math.inf
        found = self._run(0.0, steps, self._folds[0])[steps // 2 :]
        guessing = math.log(self.interpreter.output().size)
        return max(guessing, float(np.mean([loss for loss, *_ in found])))

    def _promising(self, errors: Mapping[float, Array]) -> Mapping[float, Array]:
        """Without the rates at which nothing is learned, unless these are clearly better."""
        kept = {rate: found for rate, found in errors.items() if rate not in self.in_vain}
        if not kept:
            return errors
        best = errors[_best(kept)]
        for rate in errors.keys() - kept.keys():
            gain = best - errors[rate]
            if np.mean(gain) > _CLEARLY * np.std(gain) / math.sqrt(len(gain)):
                kept[rate] = errors[rate]
        return kept

    def _note(self, rate: float, loss: float, *runs: Sequence[_Judged]) -> None:
        """Whether runs have learned anything: by their loss, and by what most of them answer."""
        self.in_vain.discard(rate)
        if self._hopeless_loss == math.inf:  # It is no classifier.
            return
        one_answer = sum(map(_gives_one_answer, runs))
        if loss > self._hopeless_loss or 2 * one_answer > len(runs):
            self.in_vain.add(rate)

    def _first_look(self, rate: float, steps: int) -> Array:
        """The errors of the second half of a short run."""
        found = self._run(rate, steps, self._folds[0])[steps // 2 :]
        judged = [one for _, one in found]
        loss = float(np.mean([loss for loss, _ in found]))
        self._note(rate, loss, judged)
        errors = np.array([one.error for one in judged])
        score = float(np.mean([one.score for one in judged]))
        self.tried[rate] = TriedRate(rate, steps, loss, score, float(np.mean(errors)))
        return errors

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
        losses: list[float] = []
        runs: list[list[_Judged]] = []
        for fold in self._folds[:count]:
            losses += [loss for loss, _ in self._run(rate, steps, fold)[-max(1, steps // 4) :]]
            runs.append([self._judged(index) for index in fold.held_out[:held_out]])
        self._note(rate, float(np.mean(losses)), *runs)
        judged = [one for run in runs for one in run]
        compared[rate] = np.array([one.error for one in judged])
        score, error = float(np.mean([x.score for x in judged])), float(np.mean(compared[rate]))
        self.tried[rate] = TriedRate(rate, steps, float(np.mean(losses)), score, error, True)

    def _bounded(self, steps: float) -> int:
        return max(1, min(self.run_steps, max(int(steps), _LEAST_STEPS)))

    def _run(self, rate: float, steps: int, fold: Fold) -> list[tuple[float, _Judged]]:
        """One short run; of each step the loss, and what the answer before it was worth."""
        interpreter = self.interpreter
        interpreter.load_state(self._start)
        found = []
        for step, index in zip(range(steps), self._samples(fold), strict=False):
            target = None if interpreter.learns_its_input else self.y[index]
            now = learning_rate_at(self.schedule, rate, step, steps)
            loss = interpreter.train_step(self.x[index], target, now)
            found.append((loss, self._scored(interpreter.output(), index)))
            self.done += 1
            if self.on_trial is not None:
                self.on_trial(rate or FIRST_RATE, self.done, max(self.budget, self.done))
        return found

    def _samples(self, fold: Fold) -> Iterator[int]:
        epoch = 0
        while True:
            rng = np.random.default_rng([self.seed, epoch, len(fold.train)])
            yield from fold.train[rng.permutation(len(fold.train))]
            epoch += 1

    def _judged(self, index: int) -> _Judged:
        return self._scored(infer_one(self.interpreter, self.x[index]), index)

    def _scored(self, answer: Array, index: int) -> _Judged:
        """What an answer to a sample is worth."""
        metric, target = self._metric, self.y[index]
        score, error = metric.score(answer, target), metric.error(answer, target)
        if self._hopeless_loss == math.inf:
            return _Judged(score, error)
        return _Judged(score, error, int(metric.found(answer)[0]), int(metric.labels(target)[0]))


def _gives_one_answer(judged: Sequence[_Judged]) -> bool:
    """Whether all answers are one class, of which far from all samples are."""
    answers = {one.answer for one in judged}
    share = sum(one.wanted in answers for one in judged) / len(judged)
    return len(answers) == 1 and share < _NEARLY_ALL


def _best(errors: Mapping[float, Array]) -> float:
    """The rate of the smallest error."""
    return min(errors, key=lambda rate: float(np.mean(errors[rate])))


def middle(errors: Mapping[float, Array]) -> float:
    """The mean of rates (of their logarithms), weighted by how well each may be the best.

    A weight is the likelihood that a rate is as good as the best one: by how many standard errors,
    of the differences sample by sample, it is worse.

    Args:
      errors: By rate those of the same samples.
    """
    best = errors[_best(errors)]
    weights = {}
    for rate, found in errors.items():
        difference = found - best
        noise = float(np.std(difference)) / math.sqrt(len(difference))
        mean = float(np.mean(difference))
        weights[rate] = math.exp(-0.5 * (mean / noise) ** 2) if noise else float(mean == 0.0)
    total = sum(weights.values())
    return math.exp(sum(weight * math.log(rate) for rate, weight in weights.items()) / total)


def _rounded(rate: float) -> float:
    """To two digits, so that it can be said and given again."""
    return float(f"{rate:.1e}")
