"""GATHER and CUMSUM along an axis: matrix products with a constant matrix of ones and zeros.

`y = A x` has the gradient `A^T dL/dy`, whatever is taken twice, left out or added up.
"""

from __future__ import annotations

import abc
from collections.abc import Hashable

import numpy as np
import numpy.typing as npt

from tflm_train.backward_ops.constraints import constant_of, has_int8_activations
from tflm_train.backward_ops.product import Factor, Names, produce_product, why_not_product
from tflm_train.backward_ops.rule import Constraint, Gradient, GradientRule, Tape
from tflm_train.graph import Op
from tflm_train.ops.constants import FactorKind

_STEPS = 64  # what stands for 1 in the matrix
_OUTER, _FROM, _TO, _INNER = "outer", "from", "to", "inner"


class SelectionRule(GradientRule):
    """Sums of some of the elements along an axis."""

    @abc.abstractmethod
    def axis(self, op: Op) -> int:
        """Along which axis of the input."""

    @abc.abstractmethod
    def matrix(self, op: Op) -> npt.NDArray[np.bool_]:
        """Which elements of the input each element of the output sums: [output, input]."""

    def backward(self, op: Op, gradient: Gradient, tape: Tape) -> None:
        if not tape.wants(op.input):
            return
        matrix = (_STEPS * self.matrix(op)).astype(np.int8)
        constant = tape.constant(f"grad/{op.output.short_name}/selection", matrix)
        factor = Factor(FactorKind.ACTIVATION, 1 / _STEPS, 0, constant)
        produce_product(tape, op.input, gradient, self.names(op), factor)

    def names(self, op: Op) -> Names:
        """The axes of the product."""
        shape, axis = op.input.shape, self.axis(op)
        outer = int(np.prod(shape[:axis], dtype=np.int64))
        inner = int(np.prod(shape[axis + 1 :], dtype=np.int64))
        taken = op.output.size // (outer * inner)
        sizes: dict[Hashable, int] = {_OUTER: outer, _FROM: shape[axis], _TO: taken, _INNER: inner}
        return Names(sizes, (_OUTER, _FROM, _INNER), (_OUTER, _TO, _INNER), (_TO, _FROM))


class GatherRule(SelectionRule):
    """GATHER of constant places."""

    def constraints(self) -> list[Constraint]:
        return [has_constant_places, has_no_batches, has_int8_activations, selection_fits]

    def axis(self, op: Op) -> int:
        return int(op.options.axis) % len(op.input.shape)

    def matrix(self, op: Op) -> npt.NDArray[np.bool_]:
        places = op.inputs[1]
        assert places is not None and places.data is not None
        count = op.input.shape[self.axis(op)]
        taken: npt.NDArray[np.bool_] = np.arange(count) == places.data.reshape(-1, 1)
        return taken


class CumsumRule(SelectionRule):
    """CUMSUM along a constant axis."""

    def constraints(self) -> list[Constraint]:
        return [has_constant_axis, has_int8_activations, selection_fits]

    def axis(self, op: Op) -> int:
        axis = op.inputs[1]
        assert axis is not None and axis.data is not None
        return int(axis.data.reshape(-1)[0]) % len(op.input.shape)

    def matrix(self, op: Op) -> npt.NDArray[np.bool_]:
        count = op.input.shape[self.axis(op)]
        whole = np.tri(count, k=-1 if op.options.exclusive else 0, dtype=np.bool_)
        return whole.T if op.options.reverse else whole


def has_constant_places(op: Op) -> str | None:
    """Which elements are taken is constant."""
    is_constant = op.input.data is not None or constant_of(op, 1) is not None
    return None if is_constant else "which elements it takes is computed at run time"


def has_no_batches(op: Op) -> str | None:
    """All samples take the same elements (`batch_dims` 0)."""
    batches = int(op.options.batchDims)
    return None if batches == 0 else f"it takes other elements in each of {batches} dimensions"


def has_constant_axis(op: Op) -> str | None:
    """The axis is constant."""
    return "its axis is computed at run time" if constant_of(op, 1) is None else None


def selection_fits(op: Op) -> str | None:
    """Along the axis the output has at most 264208 elements."""
    rule = RULES[op.name]
    assert isinstance(rule, SelectionRule)
    return why_not_product(rule.names(op), _STEPS)


RULES: dict[str, GradientRule] = {"CUMSUM": CumsumRule(), "GATHER": GatherRule()}
