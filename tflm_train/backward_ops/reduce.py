"""SUM and MEAN over any axes: every element gets the gradient of the sum it is part of.

A mean's division is left to the scale, so `q` is only copied.
"""

from __future__ import annotations

import numpy as np

from tflm_train.backward_ops.constraints import constant_of, has_int8_activations
from tflm_train.backward_ops.move import Move, produce_move, repeat, too_many_axes
from tflm_train.backward_ops.rule import Constraint, Gradient, GradientRule, Tape
from tflm_train.graph import Op


class SumRule(GradientRule):
    """SUM."""

    def constraints(self) -> list[Constraint]:
        return [has_constant_axes, has_int8_activations, has_few_axes]

    def backward(self, op: Op, gradient: Gradient, tape: Tape) -> None:
        produce_move(tape, op.input, gradient, _move(op), self.divisor(op))

    def divisor(self, op: Op) -> int:
        """What the sum is divided by."""
        del op
        return 1


class MeanRule(SumRule):
    """MEAN."""

    def divisor(self, op: Op) -> int:
        return op.input.size // op.output.size


def has_constant_axes(op: Op) -> str | None:
    """The reduced axes are constant."""
    return "its axes are computed at run time" if constant_of(op, 1) is None else None


def has_few_axes(op: Op) -> str | None:
    """Kept and reduced axes alternate at most 4 times."""
    return too_many_axes(_move(op))


def reduced_axes(op: Op) -> set[int]:
    """The axes a reduction runs over."""
    axes = op.inputs[1]
    assert axes is not None and axes.data is not None
    return {int(a) % len(op.input.shape) for a in np.atleast_1d(axes.data)}


def _move(op: Op) -> Move:
    return repeat(op.input.shape, reduced_axes(op))


RULES: dict[str, GradientRule] = {
    "MEAN": MeanRule(),
    "SUM": SumRule(),
}
