"""Elementwise functions: the gradient times the function's derivative, from tables of 256 values.

A partial derivative is a sum of terms, each a function of one int8 tensor (an input, or the output
where that is all it needs: the next layer keeps it anyway) or a product of two. `ops.builtin` says
which; here each function becomes a PRODUCT_GRAD, the second term of a tensor adding the first's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tflm_train.backward_ops.constraints import (
    constant_of,
    has_int8_activations,
    has_int8_operands,
    has_known_activation,
)
from tflm_train.backward_ops.fused_activation import clamp_of
from tflm_train.backward_ops.product import (
    Factor,
    Names,
    broadcast_names,
    emit_product,
    produce_product,
    tabulate,
    why_not_product,
)
from tflm_train.backward_ops.rule import (
    Clamp,
    Constraint,
    Destination,
    Gradient,
    GradientRule,
    MaskInput,
    Tape,
)
from tflm_train.graph import Op, Tensor
from tflm_train.ops.builtin import BUILTINS
from tflm_train.ops.builtin.operator import BuiltinOperator, Real, Term
from tflm_train.ops.constants import FactorKind


class ElementwiseRule(GradientRule):
    """A function of one or two activations."""

    def __init__(self, row: BuiltinOperator) -> None:
        """Makes the rule of one function from its partial derivatives."""
        self._row = row

    def constraints(self) -> list[Constraint]:
        if len(self._row.partials) == 1:
            return [has_int8_activations]
        options = None if self._row.options is None else self._row.options()
        fused = [has_known_activation] if hasattr(options, "fusedActivationFunction") else []
        return [has_int8_operands, *fused, broadcasts_simply]

    def clamp(self, op: Op) -> Clamp | None:
        return clamp_of(op)

    def backward(self, op: Op, gradient: Gradient, tape: Tape) -> None:
        for index, tensor in enumerate(op.inputs):
            assert tensor is not None
            if not tape.wants(tensor):
                continue
            for *first, (x, factor) in partial_derivative(op, index):
                given = gradient
                for between, by in first:
                    given = tape.intermediate(op.output)
                    names = _names(op, op.output, between)
                    emit_product(tape, gradient, names, by, Destination(given, MaskInput(), None))
                produce_product(tape, tensor, given, _names(op, tensor, x), factor)


Product = list[tuple[Tensor, Factor]]
"""Functions that are multiplied: the tensor that each is one of, and what it is."""


def partial_derivative(op: Op, index: int) -> list[Product]:
    """The derivative of an elementwise op by one of its inputs.

    Args:
      op: One with partial derivatives.
      index: Of the input.

    Returns:
      The terms that are not zero.
    """
    terms = [(_tensor(op, term), term) for term in BUILTINS[op.name].partials[index]]
    # What all terms but the first have in common goes to the first one: terms that mostly cancel
    # out would lose their difference to their gradients' quantisation.
    middles = [_middle(op, x, term) for x, term in terms[1:]]
    shifts = [sum(middles), *(-middle for middle in middles)]
    found = []
    for (x, term), shift in zip(terms, shifts, strict=True):
        factor = _factor(op, x, term, shift)
        assert factor.table is not None
        if np.any(factor.table[_codes(x)]):
            product = [(x, factor)]
            if term.times is not None:
                other = _tensor(op, term.times)
                product.append((other, _factor(op, other, term.times, 0.0)))
            found.append(product)
    return found


def _tensor(op: Op, term: Term) -> Tensor:
    tensor = op.output if term.of is None else op.inputs[term.of]
    assert tensor is not None
    return tensor


def _codes(x: Tensor) -> npt.NDArray[np.int64]:
    """The places in a table of the values that a tensor can have."""
    if x.data is None:
        return np.arange(256)
    return np.unique(x.data).astype(np.int64) + 128


def _middle(op: Op, x: Tensor, term: Term) -> float:
    """The middle of the values that a term can have."""
    values = term.value((_codes(x) - 128 - x.zero_point) * np.float64(x.scale), op.options)
    return float(values.min() + values.max()) / 2


def _factor(op: Op, x: Tensor, term: Term, shift: float) -> Factor:
    def value(real: Real) -> Real:
        return term.value(real, op.options) + shift

    return Factor.derivative(value, x)


def _names(op: Op, tensor: Tensor, x: Tensor) -> Names:
    return broadcast_names(op.output.shape, tensor.shape, x.shape)


def broadcasts_simply(op: Op) -> str | None:
    """An operand is broadcast along at most 3 runs of axes, over at most 516 positions."""
    for index, tensor in enumerate(op.inputs):
        if tensor is None or tensor.data is not None:
            continue
        for *_, (x, factor) in partial_derivative(op, index):
            reason = why_not_product(_names(op, tensor, x), factor.largest)
            if reason is not None:
                return reason
    return None


class PReluRule(GradientRule):
    """PRELU: one slope for each channel."""

    def constraints(self) -> list[Constraint]:
        return [has_int8_activations, has_constant_slopes, has_slopes_per_channel]

    def backward(self, op: Op, gradient: Gradient, tape: Tape) -> None:
        slopes = op.inputs[1]
        assert slopes is not None and slopes.data is not None
        real = (slopes.data.astype(np.float64).reshape(-1) - slopes.zero_point) * slopes.scale
        real = np.broadcast_to(real, (op.input.shape[-1],))
        unit, table = tabulate(np.stack([real, np.ones_like(real)], axis=1))
        factor = Factor(FactorKind.SIGN, unit, op.input.zero_point, op.input, table.reshape(-1))
        names = broadcast_names(op.input.shape, op.input.shape, op.input.shape)
        produce_product(tape, op.input, gradient, names, factor)


def has_constant_slopes(op: Op) -> str | None:
    """The slopes are an int8 constant; they do not train."""
    slopes = constant_of(op, 1)
    if slopes is None or slopes.type_name != "INT8" or slopes.quantization is None:
        return "its slopes are no int8 constant"
    return None


def has_slopes_per_channel(op: Op) -> str | None:
    """The slopes are shared over height and width (Keras: `shared_axes=[1, 2]`)."""
    slopes = op.inputs[1]
    assert slopes is not None
    if slopes.size not in (1, slopes.shape[-1]):
        return f"its slopes have shape {slopes.shape}; one for each channel works"
    return None


RULES: dict[str, GradientRule] = {
    **{row.name: ElementwiseRule(row) for row in BUILTINS.values() if row.partials},
    "PRELU": PReluRule(),
}
