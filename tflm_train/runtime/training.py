"""The training loop: every step in the real TFLM interpreter, batch size 1, as on the device."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.errors import DataError
from tflm_train.model import Tensor
from tflm_train.runtime.data import Dataset, ImageFiles, Samples, to_model_input
from tflm_train.runtime.interpreter import Interpreter

SCHEDULES = ("linear", "cosine", "constant")
_FINAL_SHARE = 0.2
_FINAL_FACTOR = 0.1


@dataclass(frozen=True)
class StepReport:
    """Progress of a running epoch.

    Attributes:
      epoch: From 0.
      step: Steps done in this epoch.
      steps: Steps of the epoch.
      loss: Mean loss of the epoch so far.
      accuracy: Share of the epoch's samples so far that were right before their update.
    """

    epoch: int
    step: int
    steps: int
    loss: float
    accuracy: float


@dataclass(frozen=True)
class EpochRecord:
    """One epoch: means over its samples; `learning_rate` is that of its last step."""

    loss: float
    train_accuracy: float
    test_accuracy: float
    learning_rate: float


@dataclass(frozen=True)
class TrainingRecord:
    """A whole run; accuracies are shares in [0, 1]."""

    test_accuracy_before: float
    epochs: tuple[EpochRecord, ...]
    test_accuracy: float
    steps_per_second: float
    losses: npt.NDArray[np.float32]


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


def train(
    interpreter: Interpreter,
    dataset: Dataset,
    *,
    epochs: int = 3,
    learning_rate: float = 1e-3,
    schedule: str = "linear",
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
      epochs: How often to go through the training samples.
      learning_rate: Of the first step, in real units.
      schedule: One of `SCHEDULES`.
      seed: Of the order.
      limit: Use only the first `limit` training and test samples.
      on_step: Called after each step.
      on_epoch: Called after each epoch with its index and record.

    Returns:
      Accuracies and losses.

    Raises:
      DataError: Data or arguments that do not fit the model.
    """
    if schedule not in SCHEDULES:
        raise DataError(f"schedule {schedule!r} is not one of {', '.join(SCHEDULES)}")
    if not math.isfinite(learning_rate) or learning_rate <= 0:
        raise DataError(f"learning rate {learning_rate} must be a finite number above 0")
    if epochs < 1 or (limit is not None and limit < 1):
        raise DataError("epochs and limit must be at least 1")
    interpreter.require_trainable()
    dataset.check_classes(interpreter.classes)
    x, y = model_inputs(interpreter, dataset.x_train[:limit], "x_train"), dataset.y_train[:limit]
    x_test = model_inputs(interpreter, dataset.x_test[:limit], "x_test")
    y_test = dataset.y_test[:limit]
    before = accuracy(interpreter, x_test, y_test)
    total = epochs * len(y)
    losses = np.zeros(total, np.float32)
    records: list[EpochRecord] = []
    busy = 0.0
    for epoch in range(epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(y))
        first = epoch * len(y)
        right = 0
        started = time.perf_counter()
        for done, index in enumerate(order):
            step = first + done
            rate = learning_rate_at(schedule, learning_rate, step, total)
            losses[step] = interpreter.train_step(x[index], int(y[index]), rate)
            right += int(np.argmax(interpreter.output()) == y[index])
            if on_step is not None:
                mean = float(losses[first : step + 1].mean())
                on_step(StepReport(epoch, done + 1, len(y), mean, right / (done + 1)))
        busy += time.perf_counter() - started
        record = EpochRecord(
            float(losses[first : first + len(y)].mean()),
            right / len(y),
            accuracy(interpreter, x_test, y_test),
            rate,
        )
        records.append(record)
        if on_epoch is not None:
            on_epoch(epoch, record)
    return TrainingRecord(before, tuple(records), records[-1].test_accuracy, total / busy, losses)


def accuracy(
    interpreter: Interpreter,
    x: npt.NDArray[Any],
    y: npt.NDArray[np.int64],
    on_sample: Callable[[int], None] | None = None,
) -> float:
    """Share of samples whose largest output is the label's.

    Args:
      interpreter: Any model with one input.
      x: [n, ...] model inputs.
      y: [n] labels.
      on_sample: Called with the number of samples done.
    """
    right = 0
    for done, (sample, label) in enumerate(zip(x, y, strict=True), start=1):
        right += int(np.argmax(interpreter.infer(sample)) == label)
        if on_sample is not None:
            on_sample(done)
    return right / len(y)


def model_inputs(interpreter: Interpreter, x: Samples, name: str) -> npt.NDArray[Any]:
    """Converts samples to the type of the model's first input (int8, or float32 left as it is).

    Raises:
      DataError: They do not fit.
    """
    tensor = interpreter.model.graph.inputs[0]
    if tensor.type_name == "INT8" and tensor.quantization is not None:
        return to_model_input(x, tensor.shape, tensor.scale, tensor.zero_point, name)
    if tensor.type_name == "FLOAT32":
        return _float_inputs(x, tensor, name)
    raise DataError(
        f"{interpreter.model.name}: input {tensor.name!r} is {tensor.type_name}; data sets can be "
        "fed to int8 and float32 inputs"
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
