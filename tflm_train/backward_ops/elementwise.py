"""Elementwise functions: the gradient times the function's derivative, from a table of 256 values.

The derivative is tabulated over the int8 output where that is all it needs (LOGISTIC, TANH: the
output is what the next layer keeps anyway), else over the int8 input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.backward_ops.constraints import constant_of, has_int8_activations
from tflm_train.backward_ops.product import Factor, broadcast_names, produce_product, tabulate
from tflm_train.backward_ops.rule import Constraint, Gradient, GradientRule, Tape
from tflm_train.graph import Op
from tflm_train.ops.constants import FactorKind

Real = npt.NDArray[np.float64]


class ElementwiseRule(GradientRule):
    """A function of one activation."""

    def __init__(self, derivative: Callable[[Real, Any], Real], of_output: bool = False) -> None:
        """Makes the rule of one function.

        Args:
          derivative: Of the real value (and the op's options).
          of_output: Whether the value is the function's output instead of its input.
        """
        self._derivative = derivative
        self._of_output = of_output

    def constraints(self) -> list[Constraint]:
        return [has_int8_activations]

    def backward(self, op: Op, gradient: Gradient, tape: Tape) -> None:
        x = op.output if self._of_output else op.input
        factor = Factor.derivative(lambda real: self._derivative(real, op.options), x)
        names = broadcast_names(op.input.shape, op.input.shape, op.input.shape)
        produce_product(tape, op.input, gradient, names, factor)


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


def logistic_derivative(y: Real, options: Any) -> Real:
    """Of the logistic function, from its output."""
    del options
    return y * (1 - y)


def tanh_derivative(y: Real, options: Any) -> Real:
    """Of the hyperbolic tangent, from its output."""
    del options
    return np.maximum(0.0, 1 - y * y)


def hard_swish_derivative(x: Real, options: Any) -> Real:
    """Of `x * clip(x + 3, 0, 6) / 6`."""
    del options
    return np.where(x <= -3, 0.0, np.where(x >= 3, 1.0, (2 * x + 3) / 6))


def leaky_relu_derivative(x: Real, options: Any) -> Real:
    """Of `x` above 0, `alpha * x` below."""
    return np.where(x >= 0, 1.0, float(options.alpha))


RULES: dict[str, GradientRule] = {
    "HARD_SWISH": ElementwiseRule(hard_swish_derivative),
    "LEAKY_RELU": ElementwiseRule(leaky_relu_derivative),
    "LOGISTIC": ElementwiseRule(logistic_derivative, of_output=True),
    "PRELU": PReluRule(),
    "TANH": ElementwiseRule(tanh_derivative, of_output=True),
}
