"""MUL: the gradient of one operand is the output's gradient times the other operand.

Squeeze-excite gates are MULs of `[1, 1, 1, C]` with `[1, H, W, C]`: the image's gradient takes the
gate along, the gate's is summed over the pixels.
"""

from __future__ import annotations

from tflm_train.backward_ops.constraints import has_int8_operands, has_known_activation
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


class MulRule(GradientRule):
    """MUL of activations, or of an activation and a constant, with broadcasting."""

    def constraints(self) -> list[Constraint]:
        return [has_int8_operands, has_known_activation, broadcasts_simply]

    def clamp(self, op: Op) -> Clamp | None:
        return clamp_of(op)

    def backward(self, op: Op, gradient: Gradient, tape: Tape) -> None:
        for tensor, other in _pairs(op):
            produce_product(
                tape, tensor, gradient, _names(op, tensor, other), Factor.activation(other)
            )


def broadcasts_simply(op: Op) -> str | None:
    """An operand is broadcast along at most 3 runs of axes, over at most 66311 positions."""
    for tensor, other in _pairs(op):
        if tensor.data is None:
            reason = why_not_product(_names(op, tensor, other), Factor.activation(other).largest)
            if reason is not None:
                return reason
    return None


def _pairs(op: Op) -> list[tuple[Tensor, Tensor]]:
    a, b = op.inputs
    assert a is not None and b is not None
    return [(a, b), (b, a)]


def _names(op: Op, tensor: Tensor, other: Tensor) -> Names:
    return broadcast_names(op.output.shape, tensor.shape, other.shape)


RULES: dict[str, GradientRule] = {"MUL": MulRule()}
