"""What a training reports: its steps, its epochs, the whole run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tflm_train.records import sometimes
from tflm_train.runtime.metrics import Answers


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
      learning_rate: Of its last step.
      is_mute: Whether every answer gave all outputs the same value: a fresh head has not reached
        one output step.
      val_accuracy: On the samples for validation after the epoch; likewise.
      val_standard_error: Of that, over the samples.
    """

    loss: float
    train_accuracy: float
    learning_rate: float
    is_mute: bool = False
    val_accuracy: float | None = sometimes()
    val_standard_error: float | None = sometimes()


def qualities(epochs: Sequence[EpochRecord], is_accuracy: bool) -> list[float]:
    """How well epochs did on the samples for validation: more is better.

    Args:
      epochs: Of a run, in order; those without such samples are left out.
      is_accuracy: Whether their scores are accuracies, not errors.
    """
    sign = 1.0 if is_accuracy else -1.0
    return [sign * one.val_accuracy for one in epochs if one.val_accuracy is not None]


def best_of(qualities: Sequence[float]) -> int:
    """The index of the first epoch that did best."""
    return max(range(len(qualities)), key=lambda epoch: qualities[epoch])


def kept_of(epochs: Sequence[EpochRecord], is_accuracy: bool) -> int:
    """The index of the epoch to keep: the last one within one standard error of the best.

    A few samples tell accuracies of epochs apart by chance, and the rate of later ones is lower:
    the first one of the highest score is worse on new samples, as a rule. Errors of a regression
    are values of the same samples, which tell more: there it is the best one.

    Args:
      epochs: Of a run, in order, all with samples for validation.
      is_accuracy: Whether their scores are accuracies, not errors.
    """
    found = qualities(epochs, is_accuracy)
    best = best_of(found)
    error = epochs[best].val_standard_error
    if not is_accuracy or error is None:
        return best
    return max(epoch for epoch, quality in enumerate(found) if quality >= found[best] - error)


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

    def __add__(self, other: WeightSteps) -> WeightSteps:
        """The counts of both."""
        return WeightSteps(
            self.steps + other.steps,
            self.limited + other.limited,
            self.vanished + other.vanished,
        )


@dataclass(frozen=True)
class TrainingRecord:
    """A whole run.

    `metric` says what the accuracies are: shares in [0, 1], or mean squared errors in real units.
    `learning_rate` is the largest of the run, `best_epoch` the index of the epoch that the state at
    the end is of, where samples for validation chose it (`kept_of`). `test` is
    what the model answers for the test samples at the end.
    """

    learning_rate: float
    test_accuracy_before: float
    epochs: tuple[EpochRecord, ...]
    test_accuracy: float
    steps_per_second: float
    losses: npt.NDArray[np.float32]
    metric: str
    weight_steps: WeightSteps
    best_epoch: int | None
    test: Answers
