"""Sigmoid cross-entropy on int8 logits, for one label or many: reference of the loss operator.

With `n` logits `a_i = s (q_i - z)`, `p_i = 1 / (1 + exp(-a_i))` and targets `t_i` in [0, 1]:

    L = 1/n sum_i w_i (max(a_i, 0) - t_i a_i + log(1 + exp(-|a_i|)))
    dL/da_i = w_i (p_i - t_i) / n
"""

from __future__ import annotations

import numpy as np

from tflm_train.backward_ops.loss import (
    Loss,
    Smoothing,
    check_probabilities,
    quantize,
    running_sum,
    weights_or_one,
)
from tflm_train.backward_ops.numerics import LOG2_E, Float32Array, Int8Array, exp2_neg, log

_ONE = np.float32(1)


def loss(
    logits: Int8Array,
    target: Float32Array,
    scale: float | np.float32,
    zero_point: int,
    smoothing: Smoothing = Smoothing(),  # noqa: B008 - frozen
    class_weights: Float32Array | None = None,
) -> Loss:
    """LOSS: mean sigmoid cross-entropy of one sample's labels.

    Args:
      logits: int8, one per label.
      target: float32, 0 to 1 per label.
      scale: Scale of the logits.
      zero_point: Of the logits.
      smoothing: Of the target.
      class_weights: float32, one per label.

    Raises:
      DataError: A target outside `[0, 1]`.
    """
    check_probabilities(target)
    q = logits.reshape(-1).astype(np.int32) - np.int32(zero_point)
    t = smoothing.apply(target.reshape(-1))
    w = weights_or_one(class_weights, q.size)
    scale = np.float32(scale)
    e = exp2_neg(np.abs(q).astype(np.float32) * (scale * LOG2_E))
    r = _ONE / (_ONE + e)
    p = np.where(q < 0, e * r, r)
    x = q.astype(np.float32) * scale
    terms = (np.maximum(x, np.float32(0)) - t * x) + log(_ONE + e)
    inverse = _ONE / np.float32(q.size)
    return Loss(running_sum(terms * w) * inverse, quantize((p - t) * w, inverse, _ONE))
