"""Mean squared error of a dequantised int8 output: reference of the loss operator.

With `n` outputs `y_i = s (q_i - z)` and targets `t_i` in real units (or, for autoencoders, the
dequantised int8 input itself):

    L = 1/n sum_i (y_i - t_i)^2
    dL/dy_i = 2/n (y_i - t_i)
"""

from __future__ import annotations

import numpy as np

from tflm_train.backward_ops.loss import Loss, check_values, quantize, running_sum
from tflm_train.backward_ops.numerics import Float32Array, Int8Array


def dequantize(
    values: Int8Array, scale: float | np.float32, zero_point: int | np.int64
) -> Float32Array:
    """Real values as the kernel makes them: one rounding."""
    centred = values.reshape(-1).astype(np.int32) - np.int32(zero_point)
    return centred.astype(np.float32) * np.float32(scale)


def loss(
    outputs: Int8Array, target: Float32Array, scale: float | np.float32, zero_point: int
) -> Loss:
    """LOSS: mean squared error of one sample.

    Args:
      outputs: int8.
      target: float32, in real units, as many.
      scale: Scale of the outputs.
      zero_point: Of the outputs.

    Raises:
      DataError: A target that is not finite.
    """
    check_values(target)
    d = dequantize(outputs, scale, zero_point) - target.reshape(-1)
    inverse = np.float32(1) / np.float32(d.size)
    value = running_sum(d * d) * inverse
    return Loss(value, quantize(d, np.float32(2) * inverse, np.float32(scale)))
