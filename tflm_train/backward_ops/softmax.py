"""SOFTMAX within a graph, as attention has it: `dL/dx = beta * y * (q - sum of q * y)`.

The sum runs along the last axis. It is taken from the gradient before that is multiplied by the
output, so that what all elements have in common is gone before anything small is rounded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable

import numpy as np

from tflm_train.backward_ops.constraints import has_int8_activations
from tflm_train.backward_ops.product import (
    Factor,
    Names,
    emit_product,
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
)
from tflm_train.graph import Op, Tensor

_ROW, _PLACE, _ONE = "row", "place", "one"


class SoftmaxRule(GradientRule):
    """SOFTMAX along the last axis."""

    def constraints(self) -> list[Constraint]:
        return [has_int8_activations, sums_fit]

    def backward(self, op: Op, gradient: Gradient, tape: Tape) -> None:
        x, y = op.input, op.output
        if not tape.wants(x):
            return
        places = y.shape[-1]
        rows = y.size // places
        sums = tape.intermediate(Tensor.make(f"{y.short_name}/sums", np.int8, (rows,)))
        to_sums = Destination(sums, MaskInput(), None)
        by_output = Factor.activation(y)
        emit_product(tape, gradient, _sum_names(rows, places), by_output, to_sums)
        centred = tape.intermediate(y)
        names = Names({_ROW: rows, _PLACE: places}, (_ROW, _PLACE), (_ROW,))
        minus = Factor.constant(-1)
        emit_product(tape, sums, names, minus, Destination(centred, MaskInput(), gradient))
        names = dataclasses.replace(names, q=(_ROW, _PLACE), x=(_ROW, _PLACE))
        beta = float(op.options.beta)
        steeper = dataclasses.replace(by_output, unit_scale=by_output.unit_scale * beta)
        produce_product(tape, x, centred, names, steeper)


def sums_fit(op: Op) -> str | None:
    """A row has at most 66311 elements."""
    places = op.output.shape[-1]
    names = _sum_names(op.output.size // places, places)
    return why_not_product(names, Factor.activation(op.output).largest)


def _sum_names(rows: int, places: int) -> Names:
    """Of a sum along the last axis; a pixel of one element needs the least scratch memory."""
    sizes: dict[Hashable, int] = {_ROW: rows, _PLACE: places, _ONE: 1}
    return Names(sizes, (_ROW, _ONE), (_ROW, _PLACE), (_ROW, _PLACE))


RULES: dict[str, GradientRule] = {"SOFTMAX": SoftmaxRule()}
