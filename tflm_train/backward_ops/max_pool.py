"""MAX_POOL_2D, and REDUCE_MAX over height and width: integer reference of the gradient.

The gradient of a window goes to the first of its elements, in raster order, that equals the
window's output (a clamp that hides the maximum stops the gradient anyway).
"""

from __future__ import annotations

import numpy as np

from tflm_train import ops
from tflm_train.backward_ops.constraints import (
    constant_of,
    has_image_input,
    has_int8_activations,
    has_known_activation,
)
from tflm_train.backward_ops.fused_activation import clamp_of
from tflm_train.backward_ops.kernel import WORD, Kernel, Kernels, Step
from tflm_train.backward_ops.layer_rule import window_geometry
from tflm_train.backward_ops.numerics import (
    Int8Array,
    Mask,
    QuantizedGradient,
    Requantized,
    max_abs,
    requantize_stream,
)
from tflm_train.backward_ops.pool import spanning_geometry
from tflm_train.backward_ops.reduce import reduced_axes
from tflm_train.backward_ops.rule import (
    Clamp,
    Constraint,
    Destination,
    GradientRule,
    Tape,
    emit_gradient,
)
from tflm_train.backward_ops.rule import Gradient as TapeGradient
from tflm_train.graph import Op
from tflm_train.ops.geometry import Geometry


def max_pool_gradient(
    gradient: QuantizedGradient,
    x: Int8Array,
    y: Int8Array,
    geometry: Geometry,
    range_: np.float32,
    mask: Mask | None = None,
) -> Requantized:
    """MAX_POOL_GRAD: the gradient of the pool's input.

    Args:
      gradient: The output's gradient, masked.
      x: int8 `[in_h, in_w, channels]`, the forward input.
      y: int8 `[out_h, out_w, channels]`, the forward output.
      geometry: The pool's, `in_c == out_c`.
      range_: float32, running range of the input gradient's slot.
      mask: Clamp mask of the input.

    Returns:
      The gradient `[in_h, in_w, channels]`, its scale and the slot's new range.
    """
    g = geometry
    q = gradient.q.reshape(g.out_h, g.out_w, g.out_c).astype(np.int64)
    x = x.reshape(g.in_h, g.in_w, g.in_c)
    y = y.reshape(g.out_h, g.out_w, g.out_c)
    acc = np.zeros(x.shape, np.int64)
    free = np.ones(y.shape, np.bool_)
    for tap in g.taps():
        windows = (tap.out_rows, tap.out_cols)
        found = free[windows] & (x[tap.in_rows, tap.in_cols] == y[windows])
        acc[tap.in_rows, tap.in_cols] += np.where(found, q[windows], 0)
        free[windows] &= ~found
    unit = np.float32(gradient.scale)
    return requantize_stream(acc.astype(np.int32), mask, unit, range_, max_abs(q))


class MaxPool2DRule(GradientRule):
    """MAX_POOL_2D."""

    def constraints(self) -> list[Constraint]:
        return [has_int8_activations, has_image_input, has_known_activation, keeps_its_scale]

    def geometry(self, op: Op) -> Geometry:
        """The pool's windows."""
        kernel = (op.options.filterHeight, op.options.filterWidth)
        return window_geometry(op, op.input.shape[3], kernel)

    def clamp(self, op: Op) -> Clamp | None:
        return clamp_of(op)

    def backward(self, op: Op, gradient: TapeGradient, tape: Tape) -> None:
        def produce(to: Destination) -> None:
            params = ops.MaxPoolGrad(self.geometry(op), to.mask.fields, gradient.slot, to.slot)
            emit_gradient(tape, params, gradient, to, x=op.input, y=op.output)

        tape.produce(op.input, produce, takes_addend=False)


class ReduceMaxRule(MaxPool2DRule):
    """REDUCE_MAX over height and/or width."""

    def constraints(self) -> list[Constraint]:
        return [has_image_input, reduces_an_image, has_int8_activations, keeps_its_scale]

    def geometry(self, op: Op) -> Geometry:
        axes = reduced_axes(op)
        _, height, width, channels = op.input.shape
        return spanning_geometry((height, width, channels), 1 in axes, 2 in axes)


def keeps_its_scale(op: Op) -> str | None:
    """Input and output have the same scale and zero point."""
    a, b = op.input.quantization, op.output.quantization
    assert a is not None and b is not None
    if not (np.array_equal(a.scale, b.scale) and np.array_equal(a.zero_point, b.zero_point)):
        return "its input and output have different scales"
    return None


def reduces_an_image(op: Op) -> str | None:
    """The maximum is taken over height and/or width."""
    if constant_of(op, 1) is None:
        return "its axes are computed at run time"
    axes = reduced_axes(op)
    if not axes or not axes <= {1, 2}:
        return f"it runs over axes {sorted(axes)}; only height and width work"
    return None


RULES: dict[str, GradientRule] = {
    "MAX_POOL_2D": MaxPool2DRule(),
    "REDUCE_MAX": ReduceMaxRule(),
}


def _max_pool_grad(op: Op, params: ops.MaxPoolGrad, step: Step) -> None:
    inputs = params.inputs_of(op)
    x, y = step.value(inputs.x), step.value(inputs.y)
    step.requantized(op, params, inputs, max_pool_gradient, x, y, params.geometry)


KERNELS: Kernels = {
    ops.MaxPoolGrad: Kernel(_max_pool_grad, lambda params: WORD * params.geometry.in_c)
}
