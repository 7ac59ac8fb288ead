"""Softmax cross-entropy on int8 logits: reference of the loss operator.

With logits `a_i = s (q_i - z)`, `p = softmax(a)` and the target distribution `t` (one-hot of a
class, or the probabilities of a teacher), smoothed and weighted to `u_i = w_i t_i`:

    L = sum_i u_i (log(sum exp(a_j - max a)) + max a - a_i)
    dL/da_i = p_i sum_j u_j - u_i

The zero point cancels. The only float arithmetic per element of a training step is here, once per
class. Of a map of positions that are classified one by one, the loss is the mean over them.
"""

from __future__ import annotations

import numpy as np

from tflm_train.backward_ops.loss import (
    Loss,
    Smoothing,
    check_probabilities,
    one_hot,
    quantize,
    running_sum,
    weights_or_one,
)
from tflm_train.backward_ops.numerics import (
    LOG2_E,
    Float32Array,
    Int8Array,
    Int32Array,
    exp2_neg,
    log,
)


def loss(
    logits: Int8Array,
    target: int | Float32Array | Int32Array,
    scale: float | np.float32,
    smoothing: Smoothing = Smoothing(),  # noqa: B008 - frozen
    class_weights: Float32Array | None = None,
    positions: int = 1,
) -> Loss:
    """LOSS: softmax cross-entropy of one sample.

    Args:
      logits: int8, one per class, of each position.
      target: Index of the true class, int32 indices of all positions, or float32 probabilities,
        one per class, of each position.
      scale: Scale of the logits.
      smoothing: Of the target.
      class_weights: float32, one per class.
      positions: How many are classified.

    Raises:
      DataError: A class that does not exist, or a probability outside `[0, 1]`.
    """
    q = logits.reshape(positions, -1).astype(np.int32)
    targets = _targets(target, positions, q.shape[1])
    weights = weights_or_one(class_weights, q.shape[1])
    scale = np.float32(scale)
    d = np.zeros(q.shape, np.float32)
    value = np.float32(0)
    for position in range(positions):
        u = smoothing.apply(targets[position]) * weights
        below = (q[position].max() - q[position]).astype(np.float32)
        exponentials = exp2_neg(below * (scale * LOG2_E))
        total = running_sum(exponentials)
        surprise = below * scale + np.float32(log(total))
        d[position] = (exponentials / total) * running_sum(u) - u
        value += running_sum(u * surprise)
    unit = np.float32(1) / np.float32(positions)
    return Loss(value * unit, quantize(d.reshape(-1), unit, np.float32(1)))


def _targets(target: int | Float32Array | Int32Array, positions: int, classes: int) -> Float32Array:
    """float32 [positions, classes]."""
    if isinstance(target, np.ndarray) and target.dtype.kind == "f":
        values = target.astype(np.float32)
        check_probabilities(values)
        return values.reshape(positions, classes)
    indices = np.asarray(target).reshape(positions)
    return np.stack([one_hot(int(index), classes) for index in indices])
