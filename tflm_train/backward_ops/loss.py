"""What the losses have in common: targets, class weights and the quantised gradient.

Reference of the LOSS operator's shared part (docs/NUMERICS.md). Single precision throughout, sums
in index order, with the exponential and logarithm of `numerics`, so that no bit depends on a libm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tflm_train.backward_ops.numerics import (
    Float32Array,
    Int8Array,
    QuantizedGradient,
    round_to_int32,
)
from tflm_train.errors import DataError

_VANISHED = np.float32(2.0**-20)
_LARGEST_VALUE = np.float32(2.0**40)


class Loss(NamedTuple):
    """A loss and the gradient of the logits.

    Attributes:
      value: float32; cross-entropies in nats.
      gradient: int8 `[outputs]` with its scale.
    """

    value: np.float32
    gradient: QuantizedGradient


@dataclass(frozen=True)
class Smoothing:
    """Label smoothing: a target `t` becomes `keep * t + spread`."""

    keep: np.float32 = np.float32(1)  # noqa: RUF009 - numpy scalars are immutable
    spread: np.float32 = np.float32(0)  # noqa: RUF009

    def apply(self, target: Float32Array) -> Float32Array:
        """The smoothed target."""
        return target * np.float32(self.keep) + np.float32(self.spread)


def one_hot(label: int, classes: int) -> Float32Array:
    """The target vector of a class index.

    Raises:
      DataError: `label` outside `[0, classes)`.
    """
    if not 0 <= label < classes:
        raise DataError(f"label {label} is outside the model's {classes} classes [0, {classes})")
    target = np.zeros(classes, np.float32)
    target[label] = 1
    return target


def check_probabilities(target: Float32Array) -> None:
    """Refuses targets of a cross-entropy outside `[0, 1]`.

    Raises:
      DataError: One is, or is NaN.
    """
    if not np.all((target >= 0) & (target <= 1)):
        raise DataError("a target value is no probability from 0 to 1")


def check_values(target: Float32Array) -> None:
    """Refuses targets of a regression that are no ordinary numbers.

    Raises:
      DataError: One is NaN or beyond +-2^40.
    """
    if not np.all(np.abs(target) <= _LARGEST_VALUE):
        raise DataError("a target value is not a finite number of ordinary size")


def weights_or_one(class_weights: Float32Array | None, size: int) -> Float32Array:
    """The class weights, ones where there are none."""
    return np.ones(size, np.float32) if class_weights is None else class_weights.reshape(-1)


def running_sum(values: Float32Array) -> np.float32:
    """The sum in index order; `sum` adds pairwise and gives other bits."""
    return np.float32(np.add.accumulate(values)[-1])


def quantize(d: Float32Array, unit: np.float32, smallest: np.float32) -> QuantizedGradient:
    """The int8 gradient tensor of a loss.

    Args:
      d: float32, the gradient of each output in units of `unit`.
      unit: Loss per step of `d`.
      smallest: Scale of `d`: below `2^-20` of it the gradient counts as vanished.
    """
    largest = np.abs(d).max()
    if largest < _VANISHED * np.float32(smallest):
        return QuantizedGradient(np.zeros(d.size, np.int8), np.float32(0))
    q: Int8Array = round_to_int32(d * (np.float32(127) / largest)).clip(-127, 127).astype(np.int8)
    return QuantizedGradient(q, (largest / np.float32(127)) * np.float32(unit))
