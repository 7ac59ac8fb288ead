"""RESHAPE, SQUEEZE, EXPAND_DIMS: the gradient is the same bytes under another shape; no op."""

from __future__ import annotations

from tflm_train.backward_ops.rule import Clamp, Gradient, Tape
from tflm_train.model.graph import Op


class ReshapeRule:
    """Passes the gradient on untouched: our kernels look at sizes only."""

    def why_not(self, op: Op) -> str | None:
        if op.input.size != op.output.size:
            return f"it changes the number of elements ({op.input.shape} to {op.output.shape})"
        return None

    def clamp(self, op: Op) -> Clamp | None:
        del op
        return None

    def backward(self, op: Op, gradient: Gradient, tape: Tape) -> None:
        tape.pass_through(op.input, gradient)
