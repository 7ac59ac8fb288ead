"""SPLIT, SPLIT_V and UNPACK: the gradient of each part that has one returns to its place.

The parts' gradients have scales of their own; ACCUMULATE joins them.
"""

from __future__ import annotations

import abc

import numpy as np

from tflm_train.backward_ops.constraints import constant_of, has_int8_activations
from tflm_train.backward_ops.move import embed, produce_move
from tflm_train.backward_ops.rule import Constraint, Gradient, GradientRule, Tape
from tflm_train.graph import Op, Tensor


class PartsRule(GradientRule):
    """An op with several outputs, each a slice of its input."""

    @abc.abstractmethod
    def split(self, op: Op) -> tuple[Tensor, int]:
        """The tensor that is split, and the axis."""

    def constraints(self) -> list[Constraint]:
        return [has_int8_outputs]

    def backward(self, op: Op, gradient: Gradient, tape: Tape) -> None:
        whole, axis = self.split(op)
        begin = [0] * len(whole.shape)
        for output in op.outputs:
            # UNPACK's outputs lack the axis.
            share = output.shape[axis] if len(output.shape) == len(whole.shape) else 1
            if output is gradient.of:
                counts = [share if i == axis else n for i, n in enumerate(whole.shape)]
                steps = [1] * len(counts)
                produce_move(tape, whole, gradient, embed(whole.shape, begin, steps, counts))
            begin[axis] += share


class SplitRule(PartsRule):
    """SPLIT into equal parts."""

    def constraints(self) -> list[Constraint]:
        return [has_constant_split_axis, *super().constraints()]

    def split(self, op: Op) -> tuple[Tensor, int]:
        assert op.inputs[1] is not None
        return op.inputs[1], _axis(op.inputs[0], op.inputs[1])


class SplitVRule(PartsRule):
    """SPLIT_V into parts of any size."""

    def constraints(self) -> list[Constraint]:
        return [has_constant_split_v_axis, *super().constraints()]

    def split(self, op: Op) -> tuple[Tensor, int]:
        return op.input, _axis(op.inputs[2], op.input)


class UnpackRule(PartsRule):
    """UNPACK along any axis."""

    def constraints(self) -> list[Constraint]:
        return [has_int8_activations]

    def split(self, op: Op) -> tuple[Tensor, int]:
        return op.input, op.options.axis % len(op.input.shape)


def has_int8_outputs(op: Op) -> str | None:
    """All parts are int8."""
    for tensor in op.outputs:
        if tensor.type_name != "INT8":
            return f"{tensor.name!r} is {tensor.type_name}; only int8 is differentiated"
    return None


def has_constant_split_axis(op: Op) -> str | None:
    """The axis is constant."""
    return "its axis is computed at run time" if constant_of(op, 0) is None else None


def has_constant_split_v_axis(op: Op) -> str | None:
    """The axis is constant."""
    return "its axis is computed at run time" if constant_of(op, 2) is None else None


def _axis(tensor: Tensor | None, whole: Tensor) -> int:
    assert tensor is not None and tensor.data is not None
    return int(np.atleast_1d(tensor.data)[0]) % len(whole.shape)


RULES: dict[str, GradientRule] = {
    "SPLIT": SplitRule(),
    "SPLIT_V": SplitVRule(),
    "UNPACK": UnpackRule(),
}
