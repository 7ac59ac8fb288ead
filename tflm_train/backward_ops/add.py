"""ADD and SUB: in real values a sum's gradient is the gradient itself, or its negative.

The operands of ADD share one gradient tensor; only a negative or a sum over the positions that an
operand was broadcast to has to be computed.
"""

from __future__ import annotations

from tflm_train.backward_ops.constraints import has_int8_activations, has_known_activation
from tflm_train.backward_ops.fused_activation import clamp_of
from tflm_train.backward_ops.product import (
    Factor,
    Names,
    broadcast_names,
    produce_product,
    why_not_product,
)
from tflm_train.backward_ops.rule import Clamp, Constraint, Gradient, GradientRule, Tape
from tflm_train.graph import Op, Tensor


class AddRule(GradientRule):
    """ADD, and with a `sign` of -1 SUB: `y = a + sign * b`."""

    def __init__(self, sign: int = 1) -> None:
        self._signs = (1, sign)

    def constraints(self) -> list[Constraint]:
        return [has_int8_activations, has_known_activation, broadcasts_simply]

    def clamp(self, op: Op) -> Clamp | None:
        return clamp_of(op)

    def backward(self, op: Op, gradient: Gradient, tape: Tape) -> None:
        for tensor, sign in zip(op.inputs, self._signs, strict=True):
            assert tensor is not None
            if sign == 1 and tensor.size == op.output.size:
                tape.pass_through(tensor, gradient)
            else:
                produce_product(tape, tensor, gradient, _names(op, tensor), Factor.constant(sign))


def broadcasts_simply(op: Op) -> str | None:
    """An operand is broadcast along at most 3 runs of axes, over at most 66052 positions."""
    for tensor in op.inputs:
        if tensor is not None and tensor.data is None:
            reason = why_not_product(_names(op, tensor), Factor.constant(1).largest)
            if reason is not None:
                return reason
    return None


def _names(op: Op, tensor: Tensor) -> Names:
    return broadcast_names(op.output.shape, tensor.shape)


RULES: dict[str, GradientRule] = {
    "ADD": AddRule(),
    "SUB": AddRule(sign=-1),
}
