"""SLICE and STRIDED_SLICE: the gradient returns to where the slice was taken, zeros around it."""

from __future__ import annotations

import numpy as np

from tflm_train.backward_ops.constraints import constant_of
from tflm_train.backward_ops.move import Move, embed, produce_move, too_many_axes
from tflm_train.backward_ops.rule import Constraint, Gradient, GradientRule, Tape
from tflm_train.graph import Op


class SliceRule(GradientRule):
    """SLICE with constant begin and size."""

    def constraints(self) -> list[Constraint]:
        return [has_constant_bounds, has_few_axes]

    def backward(self, op: Op, gradient: Gradient, tape: Tape) -> None:
        produce_move(tape, op.input, gradient, _slice_move(op))


class StridedSliceRule(GradientRule):
    """STRIDED_SLICE with constant begin, end and strides, of either sign."""

    def constraints(self) -> list[Constraint]:
        return [has_constant_bounds, has_plain_axes, has_few_strided_axes]

    def backward(self, op: Op, gradient: Gradient, tape: Tape) -> None:
        produce_move(tape, op.input, gradient, _strided_move(op))


def has_constant_bounds(op: Op) -> str | None:
    """Where the slice begins and ends is constant."""
    if any(constant_of(op, i) is None for i in range(1, len(op.inputs))):
        return "its bounds are computed at run time"
    return None


def has_plain_axes(op: Op) -> str | None:
    """The slice uses no ellipsis and adds no axis."""
    if op.options.ellipsisMask or op.options.newAxisMask:
        return "it uses an ellipsis or adds an axis"
    return None


def has_few_axes(op: Op) -> str | None:
    """At most 5 axes are sliced."""
    return too_many_axes(_slice_move(op))


def has_few_strided_axes(op: Op) -> str | None:
    """At most 5 axes are sliced."""
    return too_many_axes(_strided_move(op))


def _slice_move(op: Op) -> Move:
    begin = _values(op, 1)
    return embed(op.input.shape, begin, [1] * len(begin), op.output.shape)


def _strided_move(op: Op) -> Move:
    begin, end, step = (_values(op, index) for index in (1, 2, 3))
    begins, steps, counts = [], [], []
    for axis, size in enumerate(op.input.shape):
        start: int | None = None
        stop: int | None = None
        stride = 1
        if axis < len(begin):
            stride = step[axis]
            start = None if op.options.beginMask >> axis & 1 else begin[axis]
            stop = None if op.options.endMask >> axis & 1 else end[axis]
            if op.options.shrinkAxisMask >> axis & 1:
                start = begin[axis] % size
                stop, stride = start + 1, 1
        taken = range(size)[slice(start, stop, stride)]
        begins.append(taken.start)
        steps.append(taken.step)
        counts.append(len(taken))
    return embed(op.input.shape, begins, steps, counts)


def _values(op: Op, index: int) -> list[int]:
    tensor = op.inputs[index]
    assert tensor is not None and tensor.data is not None
    return [int(v) for v in np.atleast_1d(tensor.data)]


RULES: dict[str, GradientRule] = {
    "SLICE": SliceRule(),
    "STRIDED_SLICE": StridedSliceRule(),
}
