"""L2_NORMALIZATION of one vector: integer reference of the gradient.

With `y = x / |x|`: `dL/dx = (g - y (y . g)) / |x|`. TFLite fixes `y` to 128ths, so the bracket is
an integer, and the division by `|x|`, one number for the vector, is left to the scale.
"""

from __future__ import annotations

import numpy as np

from tflm_train import ops
from tflm_train.backward_ops.constraints import has_int8_activations
from tflm_train.backward_ops.kernel import WORD, Kernel, Kernels, Step
from tflm_train.backward_ops.numerics import (
    Int8Array,
    Mask,
    QuantizedGradient,
    Requantized,
    max_abs,
    requantize_stream,
    sqrt32,
)
from tflm_train.backward_ops.rule import Constraint, Destination, GradientRule, Tape, emit_gradient
from tflm_train.backward_ops.rule import Gradient as TapeGradient
from tflm_train.graph import Op

MAX_SIZE = 4096

_ONE = 1 << 14


def norm(x: Int8Array, zero_point: int) -> np.float32:
    """`|x|` in quantised units, to 16 bits."""
    square = int(((x.astype(np.int64) - zero_point) ** 2).sum())
    if square == 0:
        return np.float32(0)
    shift = 0
    while square < 1 << 30:
        square <<= 2
        shift += 1
    return np.float32(sqrt32(square)) * np.float32(2.0**-shift)


def l2_norm_gradient(
    gradient: QuantizedGradient,
    x: Int8Array,
    y: Int8Array,
    x_scale: float | np.float32,
    x_zero_point: int,
    range_: np.float32,
    mask: Mask | None = None,
) -> Requantized:
    """L2_NORM_GRAD: the gradient of the vector.

    Args:
      gradient: The output's gradient.
      x: int8, the forward input.
      y: int8, the forward output.
      x_scale: Scale of `x`.
      x_zero_point: Zero point of `x`.
      range_: float32, running range of the input gradient's slot.
      mask: Clamp mask of the input.

    Returns:
      The gradient, its scale and the slot's new range.
    """
    q = gradient.q.reshape(-1).astype(np.int64)
    wide = y.reshape(-1).astype(np.int64)
    acc = (q * _ONE - wide * int(q @ wide)).astype(np.int32)
    length = norm(x, x_zero_point)
    unit = np.float32(0)
    if length != 0:
        unit = (np.float32(gradient.scale) * np.float32(2.0**-14)) / (np.float32(x_scale) * length)
    return requantize_stream(acc, mask, unit, range_, max_abs(q))


class L2NormalizationRule(GradientRule):
    """L2_NORMALIZATION."""

    def constraints(self) -> list[Constraint]:
        return [has_int8_activations, is_one_vector, has_the_usual_scale]

    def backward(self, op: Op, gradient: TapeGradient, tape: Tape) -> None:
        def produce(to: Destination) -> None:
            x = op.input
            params = ops.L2NormGrad(
                x.size, x.zero_point, x.scale, to.mask.fields, gradient.slot, to.slot
            )
            emit_gradient(tape, params, gradient, to, x=x, y=op.output)

        tape.produce(op.input, produce, takes_addend=False)


def is_one_vector(op: Op) -> str | None:
    """One vector of at most 4096 elements is normalised."""
    if op.input.size != op.input.shape[-1] or op.input.size > MAX_SIZE:
        return f"its input has shape {op.input.shape}; one vector of up to {MAX_SIZE} works"
    return None


def has_the_usual_scale(op: Op) -> str | None:
    """The output's scale is 1/128 and its zero point 0, as TFLite prescribes."""
    if op.output.scale != 1 / 128 or op.output.zero_point != 0:
        return f"its output has scale {op.output.scale} and zero point {op.output.zero_point}"
    return None


RULES: dict[str, GradientRule] = {"L2_NORMALIZATION": L2NormalizationRule()}


def _l2_norm_grad(op: Op, params: ops.L2NormGrad, step: Step) -> None:
    inputs = params.inputs_of(op)
    scale, zero_point = params.x_scale, params.x_zero_point
    values = step.value(inputs.x), step.value(inputs.y), scale, zero_point
    step.requantized(op, params, inputs, l2_norm_gradient, *values)


KERNELS: Kernels = {ops.L2NormGrad: Kernel(_l2_norm_grad, lambda params: WORD * params.size)}
