"""CONCATENATION and PACK: each part's gradient is its share of the output's."""

from __future__ import annotations

from tflm_train.backward_ops.constraints import has_int8_activations, has_known_activation
from tflm_train.backward_ops.fused_activation import clamp_of
from tflm_train.backward_ops.move import crop, produce_move
from tflm_train.backward_ops.rule import Clamp, Constraint, Gradient, GradientRule, Tape
from tflm_train.graph import Op


class ConcatenationRule(GradientRule):
    """CONCATENATION along any axis."""

    def constraints(self) -> list[Constraint]:
        return [has_int8_activations, has_known_activation]

    def clamp(self, op: Op) -> Clamp | None:
        return clamp_of(op)

    def backward(self, op: Op, gradient: Gradient, tape: Tape) -> None:
        axis = op.options.axis % len(op.output.shape)
        start = [0] * len(op.output.shape)
        for tensor in op.inputs:
            assert tensor is not None
            produce_move(tape, tensor, gradient, crop(tensor.shape, op.output.shape, start))
            start[axis] += tensor.shape[axis]


class PackRule(GradientRule):
    """PACK: a concatenation along an axis of its own."""

    def constraints(self) -> list[Constraint]:
        return [has_int8_activations]

    def backward(self, op: Op, gradient: Gradient, tape: Tape) -> None:
        shape = op.output.shape
        axis = op.options.axis % len(shape)
        part = [1 if i == axis else n for i, n in enumerate(shape)]
        for number, tensor in enumerate(op.inputs):
            assert tensor is not None
            start = [number if i == axis else 0 for i in range(len(shape))]
            produce_move(tape, tensor, gradient, crop(part, shape, start))


RULES: dict[str, GradientRule] = {
    "CONCATENATION": ConcatenationRule(),
    "PACK": PackRule(),
}
