"""AVERAGE_POOL_2D: integer reference of the gradient.

`y` is the mean of a window, so `dL/dx` is the sum over the windows that hold `x` of
`dL/dy / count(window)`. Where no pixel lies under two windows and all windows are equally full, the
sum has one term and the division is left to the scale: `q` is only copied.
"""

import numpy as np
import numpy.typing as npt

from tflm_train import ops
from tflm_train.backward_ops.constraints import (
    has_image_input,
    has_int8_activations,
    has_known_activation,
)
from tflm_train.backward_ops.fused_activation import clamp_of
from tflm_train.backward_ops.kernel import WORD, Kernel, Kernels, Step
from tflm_train.backward_ops.layer_rule import window_geometry
from tflm_train.backward_ops.numerics import (
    Mask,
    QuantizedGradient,
    Requantized,
    apply_mask,
    max_abs,
    requantize_stream,
)
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


def spanning_geometry(in_shape: tuple[int, int, int], over_h: bool, over_w: bool) -> Geometry:
    """A reduction over height and/or width as a pool whose windows span the reduced axes.

    Args:
      in_shape: Input height, width, channels.
      over_h: Whether the height is reduced.
      over_w: Whether the width is reduced.
    """
    in_h, in_w, channels = in_shape
    kernel = (in_h if over_h else 1, in_w if over_w else 1)
    return Geometry.from_options(in_shape, channels, kernel, strides=kernel)


def window_counts(geometry: Geometry) -> npt.NDArray[np.int64]:
    """How many input pixels each window holds, padding excluded: int64 `[out_h, out_w]`."""
    counts = np.zeros((geometry.out_h, geometry.out_w), np.int64)
    for tap in geometry.taps():
        counts[tap.out_rows, tap.out_cols] += 1
    return counts


def uniform_count(geometry: Geometry) -> int | None:
    """The size of every window if no pixel lies under two and all are equally full, else None."""
    windows = np.zeros((geometry.in_h, geometry.in_w), np.int64)
    for tap in geometry.taps():
        windows[tap.in_rows, tap.in_cols] += 1
    counts = window_counts(geometry)
    if windows.max() > 1 or counts.min() != counts.max():
        return None
    return int(counts.flat[0])


def pool_gradient(
    gradient: QuantizedGradient, geometry: Geometry, range_: np.float32, mask: Mask | None = None
) -> Requantized:
    """POOL_GRAD: the gradient of the pool's input.

    Args:
      gradient: The output's gradient, masked; `q` is `[out_h, out_w, channels]`.
      geometry: The pool's, `in_c == out_c`.
      range_: float32, running range of the input gradient's slot; unchanged for a uniform pool.
      mask: Clamp mask of the input.

    Returns:
      The gradient `[in_h, in_w, channels]`, its scale and the slot's new range.
    """
    g = geometry
    q = gradient.q.reshape(g.out_h, g.out_w, g.out_c)
    count = uniform_count(g)
    if count is None:
        counts = window_counts(g)
        weighted = q.astype(np.int64) * ((32768 + counts) // (2 * counts))[:, :, np.newaxis]
    else:
        weighted = q.astype(np.int64)
    acc = np.zeros((g.in_h, g.in_w, g.in_c), np.int64)
    for tap in g.taps():
        acc[tap.in_rows, tap.in_cols] += weighted[tap.out_rows, tap.out_cols]
    scale = np.float32(gradient.scale)
    if count is not None:
        masked = apply_mask(acc.astype(np.int8), mask)
        return Requantized(masked, scale / np.float32(count), np.float32(range_))
    return requantize_stream(acc, mask, scale * np.float32(2.0**-14), range_, max_abs(q))


class AveragePool2DRule(GradientRule):
    """AVERAGE_POOL_2D."""

    def constraints(self) -> list[Constraint]:
        return [has_int8_activations, has_image_input, has_known_activation]

    def clamp(self, op: Op) -> Clamp | None:
        return clamp_of(op)

    def backward(self, op: Op, gradient: TapeGradient, tape: Tape) -> None:
        kernel = (op.options.filterHeight, op.options.filterWidth)
        geometry = window_geometry(op, op.input.shape[3], kernel)
        count = uniform_count(geometry)

        def produce(to: Destination) -> None:
            slots = (gradient.slot, to.slot)
            params = ops.PoolGrad(
                geometry, to.mask.fields, *slots, int(count is not None), count or 0
            )
            emit_gradient(tape, params, gradient, to)

        tape.produce(op.input, produce, takes_addend=False)


RULES: dict[str, GradientRule] = {"AVERAGE_POOL_2D": AveragePool2DRule()}


def _pool_grad(op: Op, params: ops.PoolGrad, step: Step) -> None:
    step.requantized(op, params, params.inputs_of(op), pool_gradient, params.geometry)


def _pool_scratch(params: ops.PoolGrad) -> int:
    return 0 if params.uniform else WORD * params.geometry.in_c


KERNELS: Kernels = {ops.PoolGrad: Kernel(_pool_grad, _pool_scratch)}
