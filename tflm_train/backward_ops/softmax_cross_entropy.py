"""Softmax cross-entropy on int8 logits: reference of the loss operator.

With logits `a_i = s (q_i - z)`, `p = softmax(a)` and the target distribution `t` (one-hot of a
class, or the probabilities of a teacher), smoothed and weighted to `u_i = w_i t_i`:

    L = sum_i u_i (log(sum exp(a_j - max a)) + max a - a_i)
    dL/da_i = p_i sum_j u_j - u_i

The zero point cancels. The only float arithmetic per element of a training step is here, once per
class.
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
from tflm_train.backward_ops.numerics import LOG2_E, Float32Array, Int8Array, exp2_neg, log


def loss(
    logits: Int8Array,
    target: int | Float32Array,
    scale: float | np.float32,
    smoothing: Smoothing = Smoothing(),  # noqa: B008 - frozen
    class_weights: Float32Array | None = None,
) -> Loss:
    """LOSS: softmax cross-entropy of one sample.

    Args:
      logits: int8, one per class.
      target: Index of the true class, or float32 probabilities, one per class.
      scale: Scale of the logits.
      smoothing: Of the target.
      class_weights: float32, one per class.

    Raises:
      DataError: A class that does not exist, or a probability outside `[0, 1]`.
    """
    q = logits.reshape(-1).astype(np.int32)
    if isinstance(target, np.ndarray):
        check_probabilities(target)
        t = target.reshape(-1)
    else:
        t = one_hot(target, q.size)
    u = smoothing.apply(t) * weights_or_one(class_weights, q.size)
    scale = np.float32(scale)
    below = (q.max() - q).astype(np.float32)
    exponentials = exp2_neg(below * (scale * LOG2_E))
    total = running_sum(exponentials)
    surprise = below * scale + np.float32(log(total))
    d = (exponentials / total) * running_sum(u) - u
    return Loss(running_sum(u * surprise), quantize(d, np.float32(1), np.float32(1)))
