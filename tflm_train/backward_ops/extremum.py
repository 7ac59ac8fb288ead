"""MAXIMUM and MINIMUM: the gradient goes to the operand that the output is.

A MAX_POOL_GRAD with a window of one element finds it: the gradient is that of the first operand
where that one equals the output. The other one has the rest, the gradient less that.
"""

from __future__ import annotations

from tflm_train import ops
from tflm_train.backward_ops.constraints import has_int8_operands
from tflm_train.backward_ops.product import (
    Factor,
    Names,
    broadcast_names,
    produce_product,
    why_not_product,
)
from tflm_train.backward_ops.rule import (
    Constraint,
    Destination,
    Gradient,
    GradientRule,
    MaskInput,
    Tape,
    emit_gradient,
)
from tflm_train.graph import Op, Tensor
from tflm_train.ops.geometry import Geometry


class ExtremumRule(GradientRule):
    """The larger or the smaller of two activations, or of an activation and a constant."""

    def constraints(self) -> list[Constraint]:
        return [has_int8_operands, has_one_scale, has_a_whole_operand, broadcasts_simply]

    def backward(self, op: Op, gradient: Gradient, tape: Tape) -> None:
        whole, other = _operands(op)

        def produce(to: Destination) -> None:
            _, _, channels = geometry = (1, op.output.size // _channels(op), _channels(op))
            params = ops.MaxPoolGrad(
                Geometry.from_options(geometry, channels, (1, 1)),
                to.mask.fields,
                gradient.slot,
                to.slot,
            )
            emit_gradient(tape, params, gradient, to, x=whole, y=op.output)

        if not tape.wants(other):
            tape.produce(whole, produce, takes_addend=False)
            return
        share = tape.intermediate(whole)
        produce(Destination(share, MaskInput(), None))
        tape.pass_through(whole, share)
        names = _names(op, other)
        if other.size == op.output.size:
            tape.pass_through(other, gradient)
        else:
            produce_product(tape, other, gradient, names, Factor.constant(1))
        produce_product(tape, other, share, names, Factor.constant(-1))


def has_one_scale(op: Op) -> str | None:
    """Operands and output have the same scale and zero point."""
    found = {(tensor.scale, tensor.zero_point) for tensor in (*_operands(op), op.output)}
    return None if len(found) == 1 else "its operands and its output have different scales"


def has_a_whole_operand(op: Op) -> str | None:
    """One operand is computed and has the output's shape."""
    whole, _ = _operands(op)
    if whole.data is None and whole.size == op.output.size:
        return None
    return "neither operand is computed and of the output's shape"


def broadcasts_simply(op: Op) -> str | None:
    """The other one is broadcast along at most 3 runs of axes, over at most 66052 positions."""
    _, other = _operands(op)
    if other.data is not None:
        return None
    return why_not_product(_names(op, other), Factor.constant(1).largest)


def _operands(op: Op) -> tuple[Tensor, Tensor]:
    """The operand that the output is compared with, and the other one."""
    a, b = op.inputs
    assert a is not None and b is not None
    return (a, b) if a.data is None and a.size == op.output.size else (b, a)


def _channels(op: Op) -> int:
    shape = op.output.shape
    return shape[-1] if shape else 1


def _names(op: Op, tensor: Tensor) -> Names:
    return broadcast_names(op.output.shape, tensor.shape)


RULES: dict[str, GradientRule] = {"MAXIMUM": ExtremumRule(), "MINIMUM": ExtremumRule()}
