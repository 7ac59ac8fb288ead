"""BATCH_MATMUL: the gradient of each factor is the output's gradient times the other factor."""

from __future__ import annotations

from collections.abc import Hashable

from tflm_train.backward_ops.constraints import has_int8_operands
from tflm_train.backward_ops.product import Factor, Names, produce_product, why_not_product
from tflm_train.backward_ops.rule import Constraint, Gradient, GradientRule, Tape
from tflm_train.graph import Op, Tensor


class BatchMatMulRule(GradientRule):
    """BATCH_MATMUL of activations, or of an activation and a constant."""

    def constraints(self) -> list[Constraint]:
        return [has_int8_operands, sums_fit]

    def backward(self, op: Op, gradient: Gradient, tape: Tape) -> None:
        for tensor, other, names in _sides(op):
            produce_product(tape, tensor, gradient, names, Factor.activation(other))


def sums_fit(op: Op) -> str | None:
    """A sum has at most 66311 terms."""
    for tensor, other, names in _sides(op):
        if tensor.data is None:
            reason = why_not_product(names, Factor.activation(other).largest)
            if reason is not None:
                return reason
    return None


def _sides(op: Op) -> list[tuple[Tensor, Tensor, Names]]:
    a, b = op.inputs
    assert a is not None and b is not None
    rank = len(op.output.shape)
    y_axes: list[Hashable] = [*range(rank - 2), "row", "column"]
    a_axes = _axes(a, rank, ("inner", "row") if op.options.adjX else ("row", "inner"))
    b_axes = _axes(b, rank, ("column", "inner") if op.options.adjY else ("inner", "column"))
    sizes = dict(zip(y_axes, op.output.shape, strict=True))
    sizes["inner"] = a.shape[-2 if op.options.adjX else -1]
    return [
        (a, b, Names(sizes, a_axes, y_axes, b_axes)),
        (b, a, Names(sizes, b_axes, y_axes, a_axes)),
    ]


def _axes(tensor: Tensor, rank: int, matrix: tuple[str, str]) -> list[Hashable]:
    lead = rank - len(tensor.shape)
    batch = [lead + i for i, n in enumerate(tensor.shape[:-2]) if n != 1]
    return [*batch, *matrix]


RULES: dict[str, GradientRule] = {"BATCH_MATMUL": BatchMatMulRule()}
