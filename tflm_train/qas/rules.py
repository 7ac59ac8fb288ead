"""What an update rule adds to plain SGD: its arithmetic, and what it keeps for every weight.

`tflm_kernels/update_rule.cc` is its twin in C++, bit for bit. All of it works on top of the step of
`update.py`, which stays the only place where a gradient meets a weight:

* **Clipping** shortens the step of a layer so that the L2 norm of its gradient stays below
  `clip_norm` (Pascanu et al., "On the difficulty of training recurrent neural networks", ICML
  2013, layer by layer). The gradient is applied while it is computed, so that its norm is bounded
  beforehand: `||G|| <= ||q|| * ||x||` for one position, by the triangle inequality for several.
* **Weight decay** is decoupled from the gradient (Loshchilov and Hutter, "Decoupled Weight Decay
  Regularization", ICLR 2019): `w -= learning_rate * weight_decay * w`. Such a share is far below
  one step of an int8 weight, so it is rounded at random.
* **Gradient accumulation** lets `n` samples add up before the weights move, as in a batch of `n`.
  Steps go to an int8 accumulator that takes the weights' place, with the residual below it; after
  `n` samples whole steps move from there to the weights, and the residual stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tflm_train.backward_ops.numerics import (
    BoolArray,
    Int8Array,
    Int32Array,
    hash32,
    round_to_int32,
    sqrt32,
)
from tflm_train.qas.update import MAX_BIAS

_DECAY_KEY = 0x6A09E667


@dataclass(frozen=True)
class Clip:
    """Constants of a layer's clipping.

    Attributes:
      norm: The largest L2 norm of the layer's gradient, in real units; 0 for no limit.
      x: How often an input element meets a gradient at most (the smaller one of trained taps and
        output positions) times the squared scale of the input; 0 where only the bias trains.
      bias: Output positions where the bias trains, else 0.
    """

    norm: float
    x: float
    bias: float

    def factor(
        self, q: Int8Array, scale: np.float32, x: Int8Array | None = None, zero_point: int = 0
    ) -> np.float32:
        """By what the step is multiplied.

        Args:
          q: int8, gradient of the layer's output.
          scale: Its scale.
          x: int8, the layer's input (the saved channels); None where only its bias trains.
          zero_point: Of `x`.

        Returns:
          float32 in [0, 1].
        """
        norm = np.float32(self.norm)
        if norm <= 0:
            return np.float32(1)
        inputs = np.float32(0) if x is None else _sum_of_squares(x, zero_point)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            per_gradient = np.float32(self.x) * inputs + np.float32(self.bias)
            scaled = np.float32(scale) * np.float32(scale)
            squared = (_sum_of_squares(q, 0) * per_gradient) * scaled
            limit = norm * norm
            if not squared > limit:
                return np.float32(1)
            ratio = limit / squared
        if ratio == 0:
            return np.float32(0)
        halvings = 0
        while ratio < np.float32(0.25):
            ratio *= np.float32(4)
            halvings += 1
        root = sqrt32(int(ratio * np.float32(2**30)))
        return np.float32(root) * np.float32(2.0 ** (-15 - halvings))


def places_in_layer(
    shape: tuple[int, ...], row_channels: int, columns: npt.NDArray[np.integer] | None
) -> npt.NDArray[np.int64]:
    """Where the weights of a layer that trains in part stand in its whole weights.

    Args:
      shape: Of the trained weights.
      row_channels: The last dimension of the whole weights.
      columns: Which of them the last dimension's elements are; None when they are all of them.
    """
    rows = np.arange(int(np.prod(shape[:-1]))).reshape(*shape[:-1], 1)
    listed = np.arange(shape[-1]) if columns is None else np.asarray(columns, np.int64)
    return rows * row_channels + listed


def decay_weights(
    weights: Int8Array,
    residual: Int8Array | None,
    rate: np.float32,
    key: int,
    *,
    residual_bits: int,
    places: npt.NDArray[np.int64],
    trained: BoolArray,
) -> tuple[Int8Array, Int8Array | None]:
    """Takes a share off every trained weight.

    Args:
      weights: int8, any shape.
      residual: int8 in that shape (4 bits: values -8 to 7, not packed); None with 0 bits.
      rate: float32, learning rate times weight decay.
      key: From `update.stochastic_key`.
      residual_bits: 8, 4 or 0.
      places: Where each element stands in the layer's whole weights.
      trained: bool, broadcasts against `weights`; False elements stay.

    Returns:
      New weights and residual (None if there was none).
    """
    with np.errstate(over="ignore"):
        share = int(round_to_int32(np.float32(rate) * np.float32(2**31)))
    if share == 0:
        return weights, residual
    random = hash32(np.int64(hash32(key ^ _DECAY_KEY)) ^ places).astype(np.int64) >> 1
    values = weights.astype(np.int64) << residual_bits
    if residual is not None:
        values += residual
    values -= np.where(trained, (values * share + random) >> 31, 0)
    if residual is None:
        return values.astype(np.int8), None
    new = (values + (1 << (residual_bits - 1))) >> residual_bits
    return new.astype(np.int8), (values - (new << residual_bits)).astype(np.int8)


def apply_steps(weights: Int8Array, gathered: Int8Array) -> Int8Array:
    """Weights that whole steps were added to; the accumulator is zero afterwards.

    Args:
      weights: int8, any shape.
      gathered: int8 in that shape.
    """
    moved: Int8Array = (weights.astype(np.int32) + gathered).clip(-127, 127).astype(np.int8)
    return moved


def apply_bias_steps(bias: Int32Array, gathered: Int32Array) -> Int32Array:
    """The same of biases, int32."""
    moved: Int32Array = (
        (bias.astype(np.int64) + gathered).clip(-MAX_BIAS, MAX_BIAS).astype(np.int32)
    )
    return moved


def _sum_of_squares(values: Int8Array, zero_point: int) -> np.float32:
    centred = values.astype(np.int64) - zero_point
    return np.int64((centred * centred).sum()).astype(np.float32)
