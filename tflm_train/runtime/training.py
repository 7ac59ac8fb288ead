"""The training loop: every step in the real TFLM interpreter, batch size 1, as on the device."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt

from tflm_train.errors import DataError
from tflm_train.model import Tensor
from tflm_train.runtime.data import Dataset, Samples, quantise, to_model_input
from tflm_train.runtime.host_library import take_step_counts
from tflm_train.runtime.interpreter import Interpreter, check_rate
from tflm_train.runtime.metrics import Metric, map_positions, metric_for, real_values
from tflm_train.runtime.pictures import ImageFiles
from tflm_train.runtime.targets import target_array

SCHEDULES = ("linear", "cosine", "constant")
DEFAULT_SCHEDULE = "linear"
Inputs: TypeAlias = npt.NDArray[Any] | Sequence[Any]
"""Model inputs, one for each sample; a tuple where the model takes several."""
_FINAL_SHARE = 0.2
_FINAL_FACTOR = 0.1
_MUTE_SAMPLES = 8
_LEAST_EPOCHS, _MOST_EPOCHS, _ENOUGH_STEPS = 3, 30, 3000


@dataclass(frozen=True)
class StepReport:
    """Progress of a running epoch.

    Attributes:
      epoch: From 0.
      step: Steps done in this epoch.
      steps: Steps of the epoch.
      loss: Mean loss of the epoch so far.
      accuracy: Share of the epoch's samples so far that were right before their update; for a
        regression their mean squared error.
    """

    epoch: int
    step: int
    steps: int
    loss: float
    accuracy: float


@dataclass(frozen=True)
class EpochRecord:
    """One epoch.

    Attributes:
      loss: Mean over the training samples, each before its update.
      train_accuracy: Likewise; a mean squared error where the run's `metric` is that.
      test_accuracy: On the test samples after the epoch; likewise.
      learning_rate: Of its last step.
      is_mute: Whether every answer gave all outputs the same value: a fresh head has not reached
        one output step.
    """

    loss: float
    train_accuracy: float
    test_accuracy: float
    learning_rate: float
    is_mute: bool = False


@dataclass(frozen=True)
class WeightSteps:
    """What became of the steps of single weights, counted in every eighth training step.

    Attributes:
      steps: Of weights that had a gradient.
      limited: Of these, how many were at the limit.
      vanished: Of these, how many were rounded to nothing.
    """

    steps: int
    limited: int
    vanished: int


@dataclass(frozen=True)
class TrainingRecord:
    """A whole run.

    `metric` says what the accuracies are: shares in [0, 1], or mean squared errors in real units.
    `learning_rate` is that of the first step.
    """

    learning_rate: float
    test_accuracy_before: float
    epochs: tuple[EpochRecord, ...]
    test_accuracy: float
    steps_per_second: float
    losses: npt.NDArray[np.float32]
    metric: str
    weight_steps: WeightSteps


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
    """

    epochs: int | None
    schedule: str
    seed: int
    limit: int | None
    on_step: Callable[[StepReport], None] | None
    on_epoch: Callable[[int, EpochRecord], None] | None


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
    epochs: int | None = None,
    schedule: str = DEFAULT_SCHEDULE,
    seed: int = 0,
    limit: int | None = None,
    on_step: Callable[[StepReport], None] | None = None,
    on_epoch: Callable[[int, EpochRecord], None] | None = None,
) -> TrainingRecord:
    """Trains a rewritten model.

    Samples come in the order `numpy.random.default_rng([seed, epoch]).permutation(n)`.

    Args:
      interpreter: A rewritten model, in whatever state it is.
      dataset: The data.
      learning_rate: Of the first step, in real units, or what chooses it.
      bench: Makes what runs the steps of the model, its training and its test inputs.
      epochs: See `TrainingOptions`, as for those that follow.
      schedule: Likewise.
      seed: Likewise.
      limit: Likewise.
      on_step: Likewise.
      on_epoch: Likewise.

    Returns:
      Accuracies and losses.

    Raises:
      DataError: Data or arguments that do not fit the model.
    """
    if schedule not in SCHEDULES:
        raise DataError(f"schedule {schedule!r} is not one of {', '.join(SCHEDULES)}")
    if not callable(learning_rate):
        check_rate(learning_rate)
    if (epochs is not None and epochs < 1) or (limit is not None and limit < 1):
        raise DataError("epochs and limit must be at least 1")
    interpreter.require_trainable()
    x = model_inputs(interpreter, dataset.x_train[:limit], "x_train")
    x_test = model_inputs(interpreter, dataset.x_test[:limit], "x_test")
    y, y_test = targets(interpreter, dataset, x, x_test, limit)
    on = bench(interpreter, x, x_test)
    epochs = default_epochs(len(y)) if epochs is None else epochs
    losses = np.zeros(epochs * len(y), np.float32)
    run = _Run(on.interpreter, metric_for(on.interpreter, y), losses, on_step)
    before = evaluate(on.interpreter, on.x_test, y_test)
    rate = learning_rate(on, y, len(losses)) if callable(learning_rate) else learning_rate
    rates = [learning_rate_at(schedule, rate, step, len(losses)) for step in range(len(losses))]
    check_rate(min(rates))
    records: list[EpochRecord] = []
    take_step_counts()
    try:
        for epoch in range(epochs):
            order = np.random.default_rng([seed, epoch]).permutation(len(y))
            passed = run.epoch(on.x, y, order, rates[epoch * len(y) :])
            after = evaluate(on.interpreter, on.x_test, y_test)
            records.append(dataclasses.replace(passed, test_accuracy=after))
            if on_epoch is not None:
                on.finish()
                on_epoch(epoch, records[-1])
    finally:
        on.finish()
    return TrainingRecord(
        rate,
        before,
        tuple(records),
        records[-1].test_accuracy,
        len(rates) / run.seconds,
        losses,
        run.metric.name,
        WeightSteps(*take_step_counts()),
    )


@dataclass
class _Run:
    """The steps of a training, done so far."""

    interpreter: Interpreter
    metric: Metric
    losses: npt.NDArray[np.float32]
    on_step: Callable[[StepReport], None] | None
    epochs: int = 0
    seconds: float = 0.0

    def epoch(
        self,
        x: Inputs,
        y: npt.NDArray[Any],
        order: npt.NDArray[np.int64],
        rates: Sequence[float],
    ) -> EpochRecord:
        """One pass through the samples; its record lacks the test accuracy."""
        interpreter, first = self.interpreter, self.epochs * len(y)
        losses = self.losses[first : first + len(y)]
        score, is_mute = 0.0, True
        started = time.perf_counter()
        for done, (index, rate) in enumerate(zip(order, rates, strict=False), start=1):
            target = None if interpreter.learns_its_input else y[index]
            losses[done - 1] = interpreter.train_step(x[index], target, rate)
            answer = interpreter.output()
            score += self.metric.score(answer, y[index])
            is_mute = is_mute and _is_mute(answer)
            if self.on_step is not None:
                loss = float(losses[:done].mean())
                self.on_step(StepReport(self.epochs, done, len(y), loss, score / done))
        self.seconds += time.perf_counter() - started
        self.epochs += 1
        return EpochRecord(
            float(losses.mean()), score / len(y), math.nan, rates[len(y) - 1], is_mute
        )


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


def targets(
    interpreter: Interpreter,
    dataset: Dataset,
    x: npt.NDArray[Any],
    x_test: npt.NDArray[Any],
    limit: int | None,
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """What the training and test outputs should be, checked against the model.

    Args:
      interpreter: The model, rewritten or not.
      dataset: The data.
      x: Training inputs as the model takes them.
      x_test: Test inputs likewise.
      limit: Use only that many of each.

    Returns:
      Targets for training and for test: class indices or a value per output; the inputs' real
      values where the model learns its own input.

    Raises:
      DataError: A target is missing or does not fit the model.
    """
    if interpreter.learns_its_input:
        tensor = interpreter.model.graph.inputs[0]
        return real_values(x, tensor), real_values(x_test, tensor)
    found = []
    for name, y in (("y_train", dataset.y_train), ("y_test", dataset.y_test)):
        if not y.size:
            raise DataError(
                f"the data set has no {name}; only a model that learns its own input (`target: "
                "input`) needs none"
            )
        found.append(y[:limit])
    output = interpreter.model.graph.outputs[interpreter.trained_output]
    classes = output.size // map_positions(interpreter)
    if classes > 1 and not interpreter.is_regression:
        dataset.check_classes(classes)
    for name, y in zip(("y_train", "y_test"), found, strict=True):
        _check_targets(interpreter, y, name, output)
    return found[0], found[1]


def _check_targets(
    interpreter: Interpreter, y: npt.NDArray[Any], name: str, output: Tensor
) -> None:
    positions = map_positions(interpreter)
    if positions > 1 and y[0].size not in (positions, output.size):
        raise DataError(
            f"{name}: {y[0].size} values for each sample, but the model classifies {positions} "
            f"positions of {list(output.shape)}: give the index of the class for each of them"
        )
    if positions == 1 and y.ndim > 1 and y[0].size != output.size:
        raise DataError(
            f"{name}: {y[0].size} values for each sample, but the model has {output.size} outputs"
        )
    if interpreter.loss is None:
        return
    for index, value in enumerate(y):
        try:
            target_array(interpreter.loss, value)
        except DataError as error:
            raise DataError(f"{name}[{index}]: {error}") from error


def model_inputs(interpreter: Interpreter, x: Samples, name: str) -> npt.NDArray[Any]:
    """Converts samples to the type of the model's input (int8, uint8, int16, or float32 as it is).

    Raises:
      DataError: They do not fit.
    """
    if interpreter.input_count != 1:
        raise DataError(
            f"{interpreter.model.name} has {interpreter.input_count} inputs; a data set feeds one: "
            "call Interpreter.train_step with a list of inputs instead"
        )
    tensor = interpreter.model.graph.inputs[0]
    if tensor.type_name == "INT8" and tensor.quantization is not None:
        return to_model_input(x, tensor.shape, tensor.scale, tensor.zero_point, name)
    if tensor.type_name == "UINT8" and tensor.quantization is not None:
        values = to_model_input(x, tensor.shape, tensor.scale, tensor.zero_point - 128, name)
        # Flipping the top bit of a byte adds 128.
        return values.view(np.uint8) ^ np.uint8(0x80)
    if tensor.type_name == "INT16" and tensor.quantization is not None:
        floats = _float_inputs(x, tensor, name)
        return quantise(floats, tensor.scale, tensor.zero_point, np.int16)
    if tensor.type_name == "FLOAT32":
        return _float_inputs(x, tensor, name)
    raise DataError(
        f"{interpreter.model.name}: input {tensor.name!r} is {tensor.type_name}; data sets can be "
        "fed to int8, uint8, int16 and float32 inputs"
    )


def _float_inputs(x: Samples, tensor: Tensor, name: str) -> npt.NDArray[np.float32]:
    if isinstance(x, ImageFiles) or x.dtype == np.uint8:
        # Pictures for a float input: the same resize, then the real value of pixel/255.
        pixels = to_model_input(x, tensor.shape, 1.0, 0, name)
        return ((pixels.astype(np.float32) + 128.0) / 255.0).astype(np.float32)
    if x.shape[1:] != tensor.shape[1:]:
        raise DataError(
            f"{name}: samples of shape {list(x.shape[1:])} do not fit the model's input "
            f"{list(tensor.shape[1:])}"
        )
    return x.astype(np.float32)
