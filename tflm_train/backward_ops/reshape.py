"""RESHAPE, SQUEEZE, EXPAND_DIMS and QUANTIZE: the gradient is the same bytes; no op."""

from __future__ import annotations

from tflm_train.backward_ops.constraints import has_int8_activations
from tflm_train.backward_ops.rule import Constraint, Gradient, GradientRule, Tape
from tflm_train.graph import Op


class ReshapeRule(GradientRule):
    """Passes the gradient on untouched: our kernels look at sizes only."""

    def constraints(self) -> list[Constraint]:
        return [keeps_its_elements]

    def backward(self, op: Op, gradient: Gradient, tape: Tape) -> None:
        tape.pass_through(op.input, gradient)


class RequantizeRule(ReshapeRule):
    """QUANTIZE from int8 to int8: another scale for the same real values."""

    def constraints(self) -> list[Constraint]:
        return [has_int8_activations]


def keeps_its_elements(op: Op) -> str | None:
    """The number of elements does not change."""
    if op.input.size != op.output.size:
        return f"it changes the number of elements ({op.input.shape} to {op.output.shape})"
    return None


RULES: dict[str, GradientRule] = {
    "EXPAND_DIMS": ReshapeRule(),
    "QUANTIZE": RequantizeRule(),
    "RESHAPE": ReshapeRule(),
    "SQUEEZE": ReshapeRule(),
}
