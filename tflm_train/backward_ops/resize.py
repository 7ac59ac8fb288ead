"""RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR: integer reference of the gradient.

Each output pixel is a weighted mean of up to 2 x 2 input pixels, the weights a product of one per
row and one per column. The gradient returns with the same weights, in 7-bit fixed point.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tflm_train import ops
from tflm_train.backward_ops.constraints import has_image_input, has_int8_activations
from tflm_train.backward_ops.kernel import WORD, Kernel, Kernels, Step
from tflm_train.backward_ops.numerics import (
    INT32_MAX,
    Mask,
    QuantizedGradient,
    Requantized,
    max_abs,
    requantize_stream,
)
from tflm_train.backward_ops.rule import Constraint, Destination, GradientRule, Tape, emit_gradient
from tflm_train.backward_ops.rule import Gradient as TapeGradient
from tflm_train.graph import Op

ONE = 128
"""The weight 1.0 along one axis."""

Table = npt.NDArray[np.int16]


def bilinear_table(in_size: int, out_size: int, align_corners: bool, half_pixel: bool) -> Table:
    """Which two input positions each output position reads along an axis, as TFLite chooses them.

    Returns:
      int16 `[out_size, 2]`: the first of the two, and the weight of the second in 128ths.
    """
    o = np.arange(out_size, dtype=np.float64)
    scale = in_size / out_size
    if align_corners and out_size > 1:
        scale = (in_size - 1) / (out_size - 1)
    position = (o + 0.5) * scale - 0.5 if half_pixel else o * scale
    position = position.clip(0, in_size - 1)
    first = np.floor(position).astype(np.int64)
    weight = np.floor((position - first) * ONE + 0.5).astype(np.int64)
    return np.stack([first, weight], axis=1).astype(np.int16)


def nearest_table(in_size: int, out_size: int, align_corners: bool, half_pixel: bool) -> Table:
    """Which input position each output position copies along an axis, as TFLite chooses it.

    Returns:
      int16 `[out_size, 2]`: the position, and 0.
    """
    one = np.float32(1)
    scale = np.float32(in_size) / np.float32(out_size)
    if align_corners and out_size > 1:
        scale = np.float32(in_size - 1) / np.float32(out_size - 1)
    offset = one / np.float32(2) if half_pixel else np.float32(0)
    position = (np.arange(out_size, dtype=np.float32) + offset) * scale
    # Half away from zero, as C's roundf; positions are not negative.
    whole = np.floor(position + np.float32(0.5)) if align_corners else np.floor(position)
    first = whole.astype(np.int64).clip(0, in_size - 1)
    return np.stack([first, np.zeros_like(first)], axis=1).astype(np.int16)


def weights_of(table: Table, in_size: int) -> npt.NDArray[np.int64]:
    """The weights that a table stands for: int64 `[out_size, in_size]`."""
    weights = np.zeros((len(table), in_size + 1), np.int64)
    rows = np.arange(len(table))
    np.add.at(weights, (rows, table[:, 0]), ONE - table[:, 1])
    np.add.at(weights, (rows, table[:, 0] + 1), table[:, 1])
    return weights[:, :in_size]


def resize_gradient(
    gradient: QuantizedGradient,
    rows: Table,
    columns: Table,
    in_shape: tuple[int, int],
    range_: np.float32,
    mask: Mask | None = None,
    addend: QuantizedGradient | None = None,
) -> Requantized:
    """RESIZE_GRAD: the gradient of the resized image.

    Args:
      gradient: The output's gradient.
      rows: Of the height, from `bilinear_table` or `nearest_table`.
      columns: Of the width.
      in_shape: Input height and width.
      range_: float32, running range of the input gradient's slot.
      mask: Clamp mask of the input.
      addend: A second gradient of the input.

    Returns:
      The gradient `[in_h, in_w, channels]`, its scale and the slot's new range.
    """
    q = gradient.q.reshape(len(rows), len(columns), -1).astype(np.int64)
    acc = np.einsum(
        "yxc,yi,xj->ijc", q, weights_of(rows, in_shape[0]), weights_of(columns, in_shape[1])
    ).astype(np.int32)
    unit = np.float32(gradient.scale) * np.float32(2.0**-14)
    return requantize_stream(acc, mask, unit, range_, max_abs(q), addend)


class ResizeRule(GradientRule):
    """RESIZE_BILINEAR or RESIZE_NEAREST_NEIGHBOR."""

    def constraints(self) -> list[Constraint]:
        return [has_int8_activations, has_image_input, magnifies_little]

    def backward(self, op: Op, gradient: TapeGradient, tape: Tape) -> None:
        (rows, in_h), (columns, in_w) = _tables(op)
        channels = op.input.shape[3]

        def produce(to: Destination) -> None:
            params = ops.ResizeGrad(
                in_h, in_w, channels, len(rows), len(columns),
                to.mask.fields, gradient.slot, to.slot, to.slot_addend,
            )  # fmt: skip
            emit_gradient(
                tape,
                params,
                gradient,
                to,
                rows=tape.constant(to.constant_name("rows"), rows),
                columns=tape.constant(to.constant_name("columns"), columns),
            )

        tape.produce(op.input, produce, takes_addend=True)


def magnifies_little(op: Op) -> str | None:
    """One input pixel reaches at most 1032 output pixels (their weights summed)."""
    weights = [weights_of(table, n).sum(axis=0).max() for table, n in _tables(op)]
    if int(weights[0]) * int(weights[1]) * 127 > INT32_MAX:
        return f"it magnifies {op.input.shape} to {op.output.shape}, too far for an int32 sum"
    return None


def _tables(op: Op) -> list[tuple[Table, int]]:
    """Height and width: the table and the input's size."""
    make = _TABLES[op.name]
    align, half = bool(op.options.alignCorners), bool(op.options.halfPixelCenters)
    sizes = [(op.input.shape[axis], op.output.shape[axis]) for axis in (1, 2)]
    return [(make(n, out, align, half), n) for n, out in sizes]


_TABLES = {"RESIZE_BILINEAR": bilinear_table, "RESIZE_NEAREST_NEIGHBOR": nearest_table}
RULES: dict[str, GradientRule] = {name: ResizeRule() for name in _TABLES}


def _resize_grad(op: Op, params: ops.ResizeGrad, step: Step) -> None:
    inputs = params.inputs_of(op)
    tables = step.value(inputs.rows), step.value(inputs.columns)
    size = (params.in_h, params.in_w)
    step.requantized(op, params, inputs, resize_gradient, *tables, size)


KERNELS: Kernels = {ops.ResizeGrad: Kernel(_resize_grad, lambda params: WORD * params.channels)}
