"""The training loop: every step in the real TFLM interpreter, batch size 1, as on the device."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from tflm_train.data import Dataset
from tflm_train.data.dataset import TEST, TRAIN, VAL
from tflm_train.data.split import sampled
from tflm_train.errors import DataError
from tflm_train.runtime.checkpoint import Checkpoint, RunOptions, data_digest
from tflm_train.runtime.host_library import take_step_counts
from tflm_train.runtime.interpreter import Interpreter, check_rate
from tflm_train.runtime.metrics import Answers, Metric, metric_for
from tflm_train.runtime.model_data import part_for
from tflm_train.runtime.schedule import (
    DEFAULT_SCHEDULE,
    MOST_EPOCHS,
    PLATEAU,
    SCHEDULES,
    default_epochs,
    epochs_in_vain,
    learning_rate_at,
    plateau_factor,
)
from tflm_train.runtime.training_record import (
    EpochRecord,
    StepReport,
    TrainingRecord,
    WeightSteps,
    kept_of,
    qualities,
)
from tflm_train.trained.cut import has_memory

Inputs: TypeAlias = npt.NDArray[Any] | Sequence[Any]
"""Model inputs, one for each sample; a tuple where the model takes several."""
_MUTE_SAMPLES = 8
_MOST_STEPS = 2**31 - 1
LAST, BEST = KEEP = ("last", "best")
"""Of which epoch the trained state is."""


class TrainingOptions(TypedDict, total=False):
    """How to train.

    Attributes:
      epochs: How often to go through the training samples (`default_epochs`).
      schedule: One of `SCHEDULES` (warmup). `plateau` needs samples for validation, and ends by
        itself; `epochs` (100) is then the most.
      patience: End the run when so many epochs in succession were no better on the samples for
        validation (never).
      keep: One of `KEEP`: the state at the end is that of the last epoch, or of the one that
        the samples for validation prefer (`kept_of`; best, where there are such).
      seed: Of the order (0).
      limit: Use at most so many samples of each part, chosen by `data.split.sampled` (all).
      on_begin: Called when data and options have been found to fit, before the first step.
      on_step: Called after each step.
      on_epoch: Called after each epoch with its index and record.
      on_checkpoint: Called after each epoch but the last with what `resume` takes.
      resume: Where an equal run was broken off: this one goes on from there, to the same bits.
    """

    epochs: int | None
    schedule: str
    patience: int | None
    keep: str | None
    seed: int
    limit: int | None
    on_begin: Callable[[], None] | None
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
      x_val: Likewise for each sample for validation; empty without such.
      x_test: Likewise for each test sample.
      finish: Called after each epoch and at the end: gives the whole model the trained state.
    """

    interpreter: Interpreter
    x: Inputs
    x_val: Inputs
    x_test: Inputs
    finish: Callable[[], None] = lambda: None


MakeBench: TypeAlias = Callable[
    [Interpreter, npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]], Bench
]
"""Makes what runs the steps of a model, its training, validation and test inputs."""


ChooseRate: TypeAlias = Callable[[Bench, npt.NDArray[Any], int], float]
"""Gives the largest rate of a run for a bench, the training targets and the run's steps."""


def whole_model(
    interpreter: Interpreter,
    x: npt.NDArray[Any],
    x_val: npt.NDArray[Any],
    x_test: npt.NDArray[Any],
) -> Bench:
    """Runs every layer in every step."""
    return Bench(interpreter, x, x_val, x_test)


def train(
    interpreter: Interpreter,
    dataset: Dataset,
    *,
    learning_rate: float | ChooseRate,
    bench: MakeBench = whole_model,
    **options: Unpack[TrainingOptions],
) -> TrainingRecord:
    """Trains a rewritten model.

    Samples come in the order `numpy.random.default_rng([seed, epoch]).permutation(n)`.

    Args:
      interpreter: A rewritten model, in whatever state it is.
      dataset: The data.
      learning_rate: The largest of the run, in real units, or what chooses it.
      bench: Makes what runs the steps.
      **options: How to train.

    Returns:
      Accuracies and losses.

    Raises:
      DataError: Data or arguments that do not fit the model, or each other.
    """
    if not callable(learning_rate):
        check_rate(learning_rate)
    dataset = sampled(dataset, options.get("limit"))
    interpreter.require_trainable()
    x, y = part_for(interpreter, dataset, TRAIN)
    x_test, y_test = part_for(interpreter, dataset, TEST)
    x_val, y_val = x[:0], y[:0]
    if dataset.x_val is not None:
        x_val, y_val = part_for(interpreter, dataset, VAL)
    resume, on_checkpoint = options.get("resume"), options.get("on_checkpoint")
    # It takes a while, and only a run that may go on elsewhere needs it.
    digest = "" if resume is None and on_checkpoint is None else data_digest(x, y)
    asked = _checked(options, digest, len(y), len(y_val))
    if resume is not None:
        if has_memory(interpreter.model.graph):
            raise DataError(
                f"{interpreter.model.name} remembers earlier samples, which no checkpoint holds; "
                "train it in one run"
            )
        resume.require(asked, None if callable(learning_rate) else learning_rate)
        interpreter.load_state(resume.state)
    on_begin = options.get("on_begin")
    if on_begin is not None:
        on_begin()
    on = bench(interpreter, x, x_val, x_test)
    steps = asked.epochs * len(y)
    if resume is not None:
        before, rate = resume.test_accuracy_before, resume.learning_rate
    else:
        before = evaluate(on.interpreter, on.x_test, y_test)
        rate = learning_rate(on, y, steps) if callable(learning_rate) else learning_rate
    run = _Run(on, interpreter, y, y_val, y_test, asked, rate, before, options.get("on_step"))
    return run.all_epochs(resume, options.get("on_epoch"), on_checkpoint)


def _checked(options: TrainingOptions, digest: str, samples: int, to_validate: int) -> RunOptions:
    """What a run is asked for.

    Raises:
      DataError: Options that contradict each other or the data.
    """
    schedule, patience = options.get("schedule", DEFAULT_SCHEDULE), options.get("patience")
    epochs, keep = options.get("epochs"), options.get("keep")
    if schedule not in SCHEDULES:
        raise DataError(f"schedule {schedule!r} is not one of {', '.join(SCHEDULES)}")
    for name, value in (("epochs", epochs), ("patience", patience)):
        if value is not None and value < 1:
            raise DataError(f"{name} {value} must be at least 1")
    if not to_validate and (schedule == PLATEAU or patience is not None or keep == BEST):
        word = f"schedule {PLATEAU}" if schedule == PLATEAU else "keep best"
        word = word if patience is None else f"patience {patience}"
        raise DataError(
            f"{word} needs samples for validation: give x_val and y_val, or a share of the "
            "training samples (--val-share); a data set of fewer than 10 has none to spare"
        )
    if epochs is None:
        epochs = MOST_EPOCHS if schedule == PLATEAU else default_epochs(samples)
    if epochs * samples > _MOST_STEPS:
        raise DataError(
            f"{epochs:,} epochs of {samples:,} samples are more than the {_MOST_STEPS:,} steps "
            "that a state can count; use fewer epochs"
        )
    keep = keep or (BEST if to_validate else LAST)
    return RunOptions(digest, epochs, schedule, options.get("seed", 0), patience, keep)


@dataclass
class _Run:
    """A training whose rate is known."""

    bench: Bench
    whole: Interpreter
    y: npt.NDArray[Any]
    y_val: npt.NDArray[Any]
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
        best_state = None if resume is None else resume.best_state
        begin = len(records)
        take_step_counts()
        try:
            while (factor := self._factor(records)) is not None:
                epoch = len(records)
                record, found = self._epoch(epoch, factor)
                records.append(record)
                losses.append(found)
                counts += WeightSteps(*take_step_counts())
                if on_epoch is not None or on_checkpoint is not None:
                    self.bench.finish()
                if self.options.keep == BEST and self._kept(records) == epoch:
                    best_state = self.interpreter.state()
                if on_checkpoint is not None and self._factor(records) is not None:
                    on_checkpoint(
                        Checkpoint(
                            self.options,
                            self.rate,
                            self.before,
                            tuple(records),
                            np.concatenate(losses),
                            counts,
                            self.whole.state(),
                            best_state,
                        )
                    )
                if on_epoch is not None:
                    on_epoch(epoch, record)
            if best_state is not None:
                self.interpreter.load_state(best_state)
        finally:
            self.bench.finish()
        test = answers_of(self.interpreter, self.bench.x_test, self.y_test)
        return TrainingRecord(
            self.rate,
            self.before,
            tuple(records),
            test.score,
            (len(records) - begin) * len(self.y) / self.seconds if self.seconds else 0.0,
            np.concatenate(losses),
            self.metric.name,
            counts,
            None if best_state is None else self._kept(records),
            test,
        )

    def _factor(self, records: Sequence[EpochRecord]) -> float | None:
        """What the schedule's rate is multiplied with in the next epoch; None where it is over."""
        if len(records) >= self.options.epochs:
            return None
        found, patience = self._qualities(records), self.options.patience
        if patience is not None and epochs_in_vain(found) >= patience:
            return None
        return plateau_factor(found) if self.options.schedule == PLATEAU else 1.0

    def _qualities(self, records: Sequence[EpochRecord]) -> list[float]:
        return qualities(records, self.metric.is_accuracy)

    def _kept(self, records: Sequence[EpochRecord]) -> int:
        return kept_of(records, self.metric.is_accuracy)

    def _epoch(self, epoch: int, factor: float) -> tuple[EpochRecord, npt.NDArray[np.float32]]:
        """One pass through the samples, at rates that many times the schedule's."""
        interpreter, x, y, size = self.interpreter, self.bench.x, self.y, len(self.y)
        total = self.options.epochs * size
        losses = np.zeros(size, np.float32)
        score, is_mute, base = 0.0, True, factor * self.rate
        rate = base
        started = time.perf_counter()
        order = np.random.default_rng([self.options.seed, epoch]).permutation(size)
        for done, index in enumerate(order, start=1):
            step = epoch * size + done - 1
            rate = learning_rate_at(self.options.schedule, base, step, total)
            target = None if interpreter.learns_its_input else y[index]
            losses[done - 1] = interpreter.train_step(x[index], target, rate)
            answer = interpreter.output()
            score += self.metric.score(answer, y[index])
            is_mute = is_mute and _is_mute(answer)
            if self.on_step is not None:
                loss = float(losses[:done].mean())
                self.on_step(StepReport(epoch, done, size, loss, score / done))
        self.seconds += time.perf_counter() - started
        val = standard_error = None
        if len(self.y_val):
            val, standard_error = validate(interpreter, self.bench.x_val, self.y_val)
        loss = float(losses.mean())
        return EpochRecord(loss, score / size, rate, is_mute, val, standard_error), losses


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
    return answers_of(interpreter, x, y, on_sample).score


def validate(interpreter: Interpreter, x: Inputs, y: npt.NDArray[Any]) -> tuple[float, float]:
    """The mean score of a model and its standard error; see `evaluate` for the arguments."""
    answers = answers_of(interpreter, x, y)
    return answers.score, answers.standard_error


def answers_of(
    interpreter: Interpreter,
    x: Inputs,
    y: npt.NDArray[Any],
    on_sample: Callable[[int], None] | None = None,
) -> Answers:
    """What a model answers; see `evaluate` for the arguments."""
    given = []
    for index, sample in enumerate(x):
        given.append(infer_one(interpreter, sample))
        if on_sample is not None:
            on_sample(index + 1)
    return Answers(metric_for(interpreter, y), np.array(given), y)
