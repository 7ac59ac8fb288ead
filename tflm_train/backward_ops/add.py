"""ADD: in real values its gradient is the identity, so both branches share one gradient tensor."""

from __future__ import annotations

from tflm_train.backward_ops.fused_activation import clamp_of, why_not_activation
from tflm_train.backward_ops.rule import Clamp, Gradient, Tape
from tflm_train.model.graph import Op


class AddRule:
    """ADD of tensors of one shape (a broadcast constant is fine)."""

    def why_not(self, op: Op) -> str | None:
        for tensor in op.inputs:
            if tensor is not None and tensor.data is None and tensor.shape != op.output.shape:
                return f"it broadcasts {tensor.name!r} from {tensor.shape} to {op.output.shape}"
        return why_not_activation(op)

    def clamp(self, op: Op) -> Clamp | None:
        return clamp_of(op)

    def backward(self, op: Op, gradient: Gradient, tape: Tape) -> None:
        for tensor in op.inputs:
            if tensor is not None:
                tape.pass_through(tensor, gradient)
