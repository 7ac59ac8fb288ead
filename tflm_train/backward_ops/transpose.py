"""TRANSPOSE: the gradient is transposed back."""

from __future__ import annotations

from tflm_train.backward_ops.constraints import constant_of
from tflm_train.backward_ops.move import Move, permute, produce_move, too_many_axes
from tflm_train.backward_ops.rule import Constraint, Gradient, GradientRule, Tape
from tflm_train.graph import Op


class TransposeRule(GradientRule):
    """TRANSPOSE with a constant permutation."""

    def constraints(self) -> list[Constraint]:
        return [has_constant_permutation, has_few_axes]

    def backward(self, op: Op, gradient: Gradient, tape: Tape) -> None:
        produce_move(tape, op.input, gradient, _move(op))


def has_constant_permutation(op: Op) -> str | None:
    """The permutation is constant."""
    return "its permutation is computed at run time" if constant_of(op, 1) is None else None


def has_few_axes(op: Op) -> str | None:
    """At most 5 axes move (neighbours that stay together count as one)."""
    return too_many_axes(_move(op))


def _move(op: Op) -> Move:
    permutation = op.inputs[1]
    assert permutation is not None and permutation.data is not None
    rank = len(op.input.shape)
    return permute(op.input.shape, [int(p) % rank for p in permutation.data.reshape(-1)])


RULES: dict[str, GradientRule] = {"TRANSPOSE": TransposeRule()}
