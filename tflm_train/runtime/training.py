"""The training loop: every step in the real TFLM interpreter, batch size 1, as on the device."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from tflm_train.data import Dataset
from tflm_train.errors import DataError
from tflm_train.runtime.checkpoint import Checkpoint, RunOptions, data_digest
from tflm_train.runtime.host_library import take_step_counts
from tflm_train.runtime.interpreter import Interpreter, check_rate
from tflm_train.runtime.metrics import Metric, metric_for
from tflm_train.runtime.model_data import model_inputs, targets
from tflm_train.runtime.training_record import (
    EpochRecord,
    StepReport,
    TrainingRecord,
    WeightSteps,
)
from tflm_train.trained.cut import has_memory

SCHEDULES = ("linear", "cosine", "constant")
DEFAULT_SCHEDULE = "linear"
Inputs: TypeAlias = npt.NDArray[Any] | Sequence[Any]
"""Model inputs, one for each sample; a tuple where the model takes several."""
_FINAL_SHARE = 0.2
_FINAL_FACTOR = 0.1
_MUTE_SAMPLES = 8
_MOST_STEPS = 2**31 - 1
_LEAST_EPOCHS, _MOST_EPOCHS, _ENOUGH_STEPS = 3, 30, 3000


def learning_rate_at(schedule: str, base: float, step: int, total: int) -> float:
    """The learning rate of one step.

    `linear` and `cosine` decay to 0; `constant` keeps `base` and takes a tenth of it for the last
    fifth, for runs that should end well without a decay.

    Args:
      schedule: One of `SCHEDULES`.
      base: The rate of the first step, above 0.
      step: From 0.
      total: Steps of the whole run.
    """
    progress = step / total
    if schedule == "linear":
        return base * (1.0 - progress)
    if schedule == "cosine":
        return base * 0.5 * (1.0 + math.cos(math.pi * progress))
    return base * (_FINAL_FACTOR if progress >= 1.0 - _FINAL_SHARE else 1.0)


def default_epochs(samples: int) -> int:
    """How often a run goes through its training samples where nobody says how often.

    It takes steps to learn, so few samples are seen more often: three times at least, thirty times
    at most, and about three thousand steps in between.
    """
    return min(_MOST_EPOCHS, max(_LEAST_EPOCHS, -(-_ENOUGH_STEPS // samples)))


class TrainingOptions(TypedDict, total=False):
    """How to train.

    Attributes:
      epochs: How often to go through the training samples (`default_epochs`).
      schedule: One of `SCHEDULES` (linear).
      seed: Of the order (0).
      limit: Use only the first `limit` training and test samples (all).
      on_step: Called after each step.
      on_epoch: Called after each epoch with its index and record.
      on_checkpoint: Called after each epoch but the last with what `resume` takes.
      resume: Where an equal run was broken off: this one goes on from there, to the same bits.
    """

    epochs: int | None
    schedule: str
    seed: int
    limit: int | None
    on_step: Callable[[StepReport], None] | None
    on_epoch: Callable[[int, EpochRecord], None] | None
    on_checkpoint: Callable[[Checkpoint], None] | None
    resume: Checkpoint | None


@dataclass(frozen=True)
class Bench:
    """What runs the steps of a training.

    Attributes:
      interpreter: The model, or the part of it that trains.
      x: What it takes for each training sample.
      x_test: Likewise for each test sample.
      finish: Called after each epoch and at the end: gives the whole model the trained state.
    """

    interpreter: Interpreter
    x: Inputs
    x_test: Inputs
    finish: Callable[[], None] = lambda: None


ChooseRate: TypeAlias = Callable[[Bench, npt.NDArray[Any], int], float]
"""Gives the rate of the first step for a bench, the training targets and the run's steps."""


def whole_model(interpreter: Interpreter, x: npt.NDArray[Any], x_test: npt.NDArray[Any]) -> Bench:
    """Runs every layer in every step."""
    return Bench(interpreter, x, x_test)


def train(
    interpreter: Interpreter,
    dataset: Dataset,
    *,
    learning_rate: float | ChooseRate,
    bench: Callable[[Interpreter, npt.NDArray[Any], npt.NDArray[Any]], Bench] = whole_model,
    **options: Unpack[TrainingOptions],
) -> TrainingRecord:
    """Trains a rewritten model.

    Samples come in the order `numpy.random.default_rng([seed, epoch]).permutation(n)`.

    Args:
      interpreter: A rewritten model, in whatever state it is.
      dataset: The data.
      learning_rate: Of the first step, in real units, or what chooses it.
      bench: Makes what runs the steps of the model, its training and its test inputs.
      **options: How to train.

    Returns:
      Accuracies and losses.

    Raises:
      DataError: Data or arguments that do not fit the model, or each other.
    """
    schedule, limit = options.get("schedule", DEFAULT_SCHEDULE), options.get("limit")
    given_epochs, resume = options.get("epochs"), options.get("resume")
    if schedule not in SCHEDULES:
        raise DataError(f"schedule {schedule!r} is not one of {', '.join(SCHEDULES)}")
    if not callable(learning_rate):
        check_rate(learning_rate)
    if (given_epochs is not None and given_epochs < 1) or (limit is not None and limit < 1):
        raise DataError("epochs and limit must be at least 1")
    interpreter.require_trainable()
    x = model_inputs(interpreter, dataset.x_train[:limit], "x_train")
    x_test = model_inputs(interpreter, dataset.x_test[:limit], "x_test")
    y, y_test = targets(interpreter, dataset, x, x_test, limit)
    epochs = default_epochs(len(y)) if given_epochs is None else given_epochs
    steps = epochs * len(y)
    if steps > _MOST_STEPS:
        raise DataError(
            f"{epochs:,} epochs of {len(y):,} samples are more than the {_MOST_STEPS:,} steps that "
            "a state can count; use fewer epochs"
        )
    on_checkpoint = options.get("on_checkpoint")
    # It takes a while, and only a run that may go on elsewhere needs it.
    digest = "" if resume is None and on_checkpoint is None else data_digest(x, y)
    asked = RunOptions(digest, epochs, schedule, options.get("seed", 0))
    if resume is not None:
        if has_memory(interpreter.model.graph):
            raise DataError(
                f"{interpreter.model.name} remembers earlier samples, which no checkpoint holds; "
                "train it in one run"
            )
        resume.require(asked, None if callable(learning_rate) else learning_rate)
        interpreter.load_state(resume.state)
    on = bench(interpreter, x, x_test)
    if resume is not None:
        before, rate = resume.test_accuracy_before, resume.learning_rate
    else:
        before = evaluate(on.interpreter, on.x_test, y_test)
        rate = learning_rate(on, y, steps) if callable(learning_rate) else learning_rate
    check_rate(learning_rate_at(schedule, rate, steps - 1, steps))
    run = _Run(on, interpreter, y, y_test, asked, rate, before, options.get("on_step"))
    return run.all_epochs(resume, options.get("on_epoch"), on_checkpoint)


@dataclass
class _Run:
    """A training whose rate is known."""

    bench: Bench
    whole: Interpreter
    y: npt.NDArray[Any]
    y_test: npt.NDArray[Any]
    options: RunOptions
    rate: float
    before: float
    on_step: Callable[[StepReport], None] | None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.interpreter = self.bench.interpreter
        self.metric: Metric = metric_for(self.interpreter, self.y)

    def all_epochs(
        self,
        resume: Checkpoint | None,
        on_epoch: Callable[[int, EpochRecord], None] | None,
        on_checkpoint: Callable[[Checkpoint], None] | None,
    ) -> TrainingRecord:
        """The epochs that are left."""
        records = [] if resume is None else [*resume.epochs]
        losses = [] if resume is None else [resume.losses]
        counts = WeightSteps(0, 0, 0) if resume is None else resume.weight_steps
        begin, count = len(records), self.options.epochs
        take_step_counts()
        try:
            for epoch in range(begin, count):
                record, found = self._epoch(epoch)
                records.append(record)
                losses.append(found)
                counts += WeightSteps(*take_step_counts())
                if on_epoch is not None or on_checkpoint is not None:
                    self.bench.finish()
                if on_checkpoint is not None and epoch + 1 < count:
                    on_checkpoint(
                        Checkpoint(
                            self.options,
                            self.rate,
                            self.before,
                            tuple(records),
                            np.concatenate(losses),
                            counts,
                            self.whole.state(),
                        )
                    )
                if on_epoch is not None:
                    on_epoch(epoch, record)
        finally:
            self.bench.finish()
        return TrainingRecord(
            self.rate,
            self.before,
            tuple(records),
            records[-1].test_accuracy,
            (count - begin) * len(self.y) / self.seconds,
            np.concatenate(losses),
            self.metric.name,
            counts,
        )

    def _epoch(self, epoch: int) -> tuple[EpochRecord, npt.NDArray[np.float32]]:
        """One pass through the samples."""
        interpreter, x, y, size = self.interpreter, self.bench.x, self.y, len(self.y)
        total = self.options.epochs * size
        losses = np.zeros(size, np.float32)
        score, is_mute, rate = 0.0, True, self.rate
        started = time.perf_counter()
        order = np.random.default_rng([self.options.seed, epoch]).permutation(size)
        for done, index in enumerate(order, start=1):
            step = epoch * size + done - 1
            rate = learning_rate_at(self.options.schedule, self.rate, step, total)
            target = None if interpreter.learns_its_input else y[index]
            losses[done - 1] = interpreter.train_step(x[index], target, rate)
            answer = interpreter.output()
            score += self.metric.score(answer, y[index])
            is_mute = is_mute and _is_mute(answer)
            if self.on_step is not None:
                loss = float(losses[:done].mean())
                self.on_step(StepReport(epoch, done, size, loss, score / done))
        self.seconds += time.perf_counter() - started
        after = evaluate(interpreter, self.bench.x_test, self.y_test)
        mean = float(losses.mean())
        return EpochRecord(mean, score / size, after, rate, is_mute), losses


def has_mute_head(interpreter: Interpreter, x: Inputs) -> bool:
    """Whether a model that trains gives all outputs the same value, whatever the input.

    Args:
      interpreter: Any model.
      x: Model inputs, as for `evaluate`; the first few are tried.
    """
    tried = x[:_MUTE_SAMPLES]
    return interpreter.is_trainable and all(_is_mute(infer_one(interpreter, one)) for one in tried)


def infer_one(interpreter: Interpreter, x: Any) -> npt.NDArray[Any]:
    """Inference on an input, or on a tuple of them."""
    return interpreter.infer(*x) if isinstance(x, tuple) else interpreter.infer(x)


def _is_mute(answer: npt.NDArray[Any]) -> bool:
    return answer.size > 1 and bool(np.all(answer == answer.reshape(-1)[0]))


def evaluate(
    interpreter: Interpreter,
    x: Inputs,
    y: npt.NDArray[Any],
    on_sample: Callable[[int], None] | None = None,
) -> float:
    """The mean score of a model: its accuracy, or its mean squared error (`metric_for`).

    Args:
      interpreter: Any model.
      x: Model inputs, one for each sample.
      y: [n] class indices, or [n, ...] a value per output.
      on_sample: Called with the number of samples done.
    """
    return float(np.mean(scores(interpreter, x, y, on_sample)))


def scores(
    interpreter: Interpreter,
    x: Inputs,
    y: npt.NDArray[Any],
    on_sample: Callable[[int], None] | None = None,
    confusion: list[list[int]] | None = None,
) -> npt.NDArray[np.float64]:
    """The score of each sample.

    Args:
      interpreter: Any model.
      x: As for `evaluate`.
      y: Likewise.
      on_sample: Likewise.
      confusion: Of a model that classifies each position of a map, filled with how many positions
        there are of each class (row) for which it finds each class (column).
    """
    metric = metric_for(interpreter, y)
    found = np.zeros(len(y))
    classes = metric.output.size // metric.positions
    counts = np.zeros((classes, classes), np.int64)
    for index, (sample, target) in enumerate(zip(x, y, strict=True)):
        answer = infer_one(interpreter, sample)
        found[index] = metric.score(answer, target)
        if metric.positions > 1:
            np.add.at(counts, (metric.labels(target), metric.found(answer)), 1)
        if on_sample is not None:
            on_sample(index + 1)
    if confusion is not None and metric.positions > 1:
        confusion += counts.tolist()
    return found
