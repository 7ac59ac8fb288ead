"""Operators that work element by element, SOFTMAX and L2_NORMALIZATION among them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflm_train.graph import Op
from tflm_train.ops.builtin.memory import KernelCase, KernelMemory, fixed
from tflm_train.ops.builtin.operator import BuiltinOperator, Real, Term
from tflm_train.ops.builtin.shapes import (
    Shapes,
    broadcast,
    broadcast_shapes,
    listed,
    require,
    same_shape,
    tensor_of,
)
from tflm_train.ops.constants import LossKind, StageKind
from tflm_train.ops.target import Struct

_TWO = (2, 2)
_SOFTMAX_BITS = 26
_SOFTMAX_DATA = "diiiiiifPPPPP"  # SoftmaxParams


def _softmax_shape(op: Op) -> Shapes:
    """SOFTMAX."""
    beta = op.options.beta
    require(math.isfinite(beta) and beta > 0, f"its beta is {beta}, which must be above 0")
    require(len(op.input.shape) >= 1, "its input is a scalar")
    if op.input.quantization is not None and op.input.type_name == "INT8":
        # The interpreter works in fixed point with 26 fractional bits.
        scale = beta * op.input.scale
        fits = 2.0**-_SOFTMAX_BITS < scale < 2.0 ** (31 - _SOFTMAX_BITS)
        require(fits, f"its beta times its input's scale is {scale:g}, too small or too large")
    return same_shape(op)


def _leaky_relu_shape(op: Op) -> Shapes:
    """LEAKY_RELU."""
    require(math.isfinite(op.options.alpha), f"its slope is {op.options.alpha}")
    return same_shape(op)


def _prelu_shape(op: Op) -> Shapes:
    """PRELU: its slopes are broadcast over the input."""
    x, slopes = tensor_of(op, 0).shape, tensor_of(op, 1).shape
    require(broadcast_shapes(x, slopes) == x, f"its slopes {listed(slopes)} do not fit {listed(x)}")
    return (x,)


def _softmax_memory(case: KernelCase) -> KernelMemory:
    data: Struct = (_SOFTMAX_DATA,)
    if case.cmsis:
        data = (data, "ii")
    tables = (2 * 513,) * 2 if case.x.type_name == "INT16" else ()
    return KernelMemory(("f",), data, buffers=tables)


def _logistic_derivative(y: Real, options: Any) -> Real:
    """Of the logistic function, from its output."""
    del options
    return y * (1 - y)


def _tanh_derivative(y: Real, options: Any) -> Real:
    """Of the hyperbolic tangent, from its output."""
    del options
    return np.maximum(0.0, 1 - y * y)


def _rsqrt_derivative(y: Real, options: Any) -> Real:
    """Of `1 / sqrt(x)`, from its output."""
    del options
    return -0.5 * y**3


def _hard_swish_derivative(x: Real, options: Any) -> Real:
    """Of `x * clip(x + 3, 0, 6) / 6`."""
    del options
    return np.where(x <= -3, 0.0, np.where(x >= 3, 1.0, (2 * x + 3) / 6))


def _leaky_relu_derivative(x: Real, options: Any) -> Real:
    """Of `x` above 0, `alpha * x` below."""
    return np.where(x >= 0, 1.0, float(options.alpha))


def _elu_derivative(x: Real, options: Any) -> Real:
    """Of `x` above 0, `exp(x) - 1` below."""
    del options
    return np.exp(np.minimum(x, 0.0))


def _sign(x: Real, options: Any) -> Real:
    """Of the absolute value."""
    del options
    return np.sign(x)


def _reciprocal(x: Real, options: Any) -> Real:
    """Of a quotient by its numerator, from the denominator, and of a logarithm; 0 at 0."""
    del options
    return np.divide(1.0, x, out=np.zeros_like(x), where=x != 0)


def _itself(y: Real, options: Any) -> Real:
    """Of the exponential, from its output."""
    del options
    return y


def _square_root_derivative(x: Real, options: Any) -> Real:
    """Of the square root; 0 where there is none."""
    del options
    return np.divide(0.5, np.sqrt(np.maximum(x, 0.0)), out=np.zeros_like(x), where=x > 0)


def _sine_derivative(x: Real, options: Any) -> Real:
    """Of `sin(x)`."""
    del options
    return np.cos(x)


def _cosine_derivative(x: Real, options: Any) -> Real:
    """Of `cos(x)`."""
    del options
    return -np.sin(x)


def _minus_one(x: Real, options: Any) -> Real:
    """Of `-x`."""
    del options
    return np.full_like(x, -1.0)


def _float_only(name: str, derivative: Term) -> BuiltinOperator:
    """A function that TFLM computes of float32 only."""
    partials = ((derivative,),)
    return BuiltinOperator(
        name, same_shape, memory=fixed(None), is_float_only=True, partials=partials
    )


def _times(factor: float, of: int) -> Term:
    """A multiple of an input."""
    return Term(lambda real, options: factor * real, of)


_RESCALED = fixed(None, "iiiibie")  # OpDataAbsRsqrt

ROWS = (
    BuiltinOperator("ABS", same_shape, memory=_RESCALED, partials=((Term(_sign),),)),
    BuiltinOperator(
        "ADD",
        broadcast,
        _TWO,
        schema.AddOptionsT,
        memory=fixed("eb", "biiiiiiiiiiiiff"),
        stage=StageKind.ADD,
    ),
    BuiltinOperator(
        "DEQUANTIZE", same_shape, memory=fixed(None, ("di",), "iii"), keeps_real_values=True
    ),
    BuiltinOperator(
        "DIV",
        broadcast,
        _TWO,
        schema.DivOptionsT,
        memory=fixed("e", "iiiiiii"),
        partials=(
            (Term(_reciprocal, of=1),),
            (Term(lambda y, options: -y, of=None, times=Term(_reciprocal, of=1)),),
        ),
    ),
    BuiltinOperator(
        "ELU", same_shape, memory=fixed(None, "b" * 256), partials=((Term(_elu_derivative),),)
    ),
    BuiltinOperator(
        "HARD_SWISH",
        same_shape,
        memory=fixed(None, "hhhihi"),
        partials=((Term(_hard_swish_derivative),),),
    ),
    BuiltinOperator(
        "L2_NORMALIZATION", same_shape, options=schema.L2NormOptionsT, memory=fixed("e", "i")
    ),
    BuiltinOperator(
        "LEAKY_RELU",
        _leaky_relu_shape,
        options=schema.LeakyReluOptionsT,
        memory=fixed("f", "iiiiii"),
        partials=((Term(_leaky_relu_derivative),),),
    ),
    BuiltinOperator(
        "LOGISTIC",
        same_shape,
        memory=fixed(None, "iiii"),
        partials=((Term(_logistic_derivative, of=None),),),
        loss=LossKind.SIGMOID_CROSS_ENTROPY,
    ),
    BuiltinOperator("MAXIMUM", broadcast, _TWO, memory=fixed(None)),
    BuiltinOperator("MINIMUM", broadcast, _TWO, memory=fixed(None)),
    BuiltinOperator("MUL", broadcast, _TWO, schema.MulOptionsT, memory=fixed("e", "iiiiiiiff")),
    BuiltinOperator("PRELU", _prelu_shape, _TWO, memory=fixed(None, "iiiiiii")),
    BuiltinOperator(
        "QUANTIZE", same_shape, memory=fixed(None, ("id",), "iii"), keeps_real_values=True
    ),
    _float_only("COS", Term(_cosine_derivative)),
    _float_only("EXP", Term(_itself, of=None)),
    _float_only("LOG", Term(_reciprocal)),
    _float_only("NEG", Term(_minus_one)),
    _float_only("SIN", Term(_sine_derivative)),
    _float_only("SQRT", Term(_square_root_derivative)),
    _float_only("SQUARE", _times(2, 0)),
    BuiltinOperator("RELU", same_shape, memory=fixed(None, "biiiiii")),
    BuiltinOperator("RELU6", same_shape, memory=fixed(None, "ii")),
    BuiltinOperator("RELU_N1_TO_1", same_shape, has_kernel=False),
    BuiltinOperator(
        "RSQRT",
        same_shape,
        memory=_RESCALED,
        partials=((Term(_rsqrt_derivative, of=None),),),
    ),
    BuiltinOperator(
        "LOG_SOFTMAX", same_shape, loss=LossKind.SOFTMAX_CROSS_ENTROPY, is_logarithm=True
    ),
    BuiltinOperator(
        "SOFTMAX",
        _softmax_shape,
        options=schema.SoftmaxOptionsT,
        memory=_softmax_memory,
        loss=LossKind.SOFTMAX_CROSS_ENTROPY,
    ),
    BuiltinOperator(
        "SQUARED_DIFFERENCE",
        broadcast,
        _TWO,
        memory=fixed(None, "b", ("biiiiiiiiiiiiffqqhhiiiii",)),
        partials=((_times(2, 0), _times(-2, 1)), (_times(-2, 0), _times(2, 1))),
    ),
    BuiltinOperator(
        "SUB", broadcast, _TWO, schema.SubOptionsT, memory=fixed("eb", "biiiiiiiiiiii")
    ),
    BuiltinOperator(
        "TANH",
        same_shape,
        memory=fixed(None, "iiii"),
        partials=((Term(_tanh_derivative, of=None),),),
    ),
)
