"""ACCUMULATE: the gradient of a tensor that several operators read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflm_train import ops
from tflm_train.backward_ops.kernel import Kernel, Kernels, Step
from tflm_train.backward_ops.numerics import (
    Mask,
    QuantizedGradient,
    apply_mask,
    exponent_for,
    max_abs,
    round_shift,
    round_to_int32,
)
from tflm_train.graph import Op


def accumulate(
    gradients: Sequence[QuantizedGradient], mask: Mask | None = None
) -> QuantizedGradient:
    """ACCUMULATE: the sum of several gradients of one tensor, quantised once.

    Args:
      gradients: 1 to 4 gradients of the same shape.
      mask: Clamp mask of the tensor, applied to the sum.

    Returns:
      The sum, in the shape of the first; with a single input the masked copy.
    """
    first = gradients[0]
    if len(gradients) == 1:
        return QuantizedGradient(apply_mask(first.q, mask), np.float32(first.scale))
    scale = max(np.float32(g.scale) for g in gradients)
    if scale == 0:
        return QuantizedGradient(np.zeros(first.q.shape, np.int8), np.float32(0))
    acc = np.zeros(first.q.shape, np.int64)
    for g in gradients:
        factor = int(round_to_int32((np.float32(g.scale) / scale) * np.float32(16384)))
        acc += g.q.reshape(acc.shape).astype(np.int64) * factor
    acc = apply_mask(acc, mask)
    e = int(exponent_for(max_abs(acc)))
    q = round_shift(acc, e).astype(np.int8)
    return QuantizedGradient(q, (scale * np.float32(2.0**-14)) * np.float32(2.0**e))


def _accumulate(op: Op, params: ops.Accumulate, step: Step) -> None:
    inputs = ops.Accumulate.inputs_of(op)
    parts = []
    for tensor, slot in zip(inputs.gradients, params.slot_in[: params.count], strict=True):
        part = step.gradient(tensor, slot)
        parts.append(QuantizedGradient(part.q.reshape(-1), part.scale))
    result = accumulate(parts, step.mask(params.mask, inputs.mask))
    step.store_gradient(op.output, params.slot_out, result)


KERNELS: Kernels = {ops.Accumulate: Kernel(_accumulate)}
