"""RELU and RELU6 as operators of their own: a clamp mask on their output, no op."""

from __future__ import annotations

from tflm_train.backward_ops.constraints import has_int8_activations
from tflm_train.backward_ops.fused_activation import clamp_range
from tflm_train.backward_ops.numerics import Activation
from tflm_train.backward_ops.rule import Clamp, Constraint, Gradient, GradientRule, Tape
from tflm_train.graph import Op


class ReluRule(GradientRule):
    """A clamp; the masked gradient of the output is that of the input, whatever their scales."""

    def __init__(self, activation: Activation) -> None:
        self._activation = activation

    def constraints(self) -> list[Constraint]:
        return [has_int8_activations]

    def clamp(self, op: Op) -> Clamp | None:
        return clamp_range(self._activation, op.output)

    def backward(self, op: Op, gradient: Gradient, tape: Tape) -> None:
        tape.pass_through(op.input, gradient)


RULES: dict[str, GradientRule] = {
    "RELU": ReluRule("RELU"),
    "RELU6": ReluRule("RELU6"),
}
