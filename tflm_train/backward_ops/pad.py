"""PAD: `y` holds `x` unchanged, so `dL/dx` is the crop of `dL/dy`; the scale stays."""

from __future__ import annotations

from tflm_train.backward_ops.constraints import constant_of
from tflm_train.backward_ops.move import Move, crop, produce_move, too_many_axes
from tflm_train.backward_ops.rule import Constraint, Gradient, GradientRule, Tape
from tflm_train.graph import Op


class PadRule(GradientRule):
    """PAD and PADV2 with constant paddings."""

    def constraints(self) -> list[Constraint]:
        return [has_constant_paddings, has_few_axes]

    def backward(self, op: Op, gradient: Gradient, tape: Tape) -> None:
        produce_move(tape, op.input, gradient, _move(op))


def has_constant_paddings(op: Op) -> str | None:
    """The paddings are constant."""
    return "its paddings are computed at run time" if constant_of(op, 1) is None else None


def has_few_axes(op: Op) -> str | None:
    """At most 5 axes are padded."""
    return too_many_axes(_move(op))


def _move(op: Op) -> Move:
    paddings = op.inputs[1]
    assert paddings is not None and paddings.data is not None
    return crop(op.input.shape, op.output.shape, [int(p) for p in paddings.data[:, 0]])


RULES: dict[str, GradientRule] = {
    "PAD": PadRule(),
    "PADV2": PadRule(),
}
