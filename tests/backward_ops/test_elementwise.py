"""Elementwise functions against TensorFlow: each operator with partial derivatives."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.backward_ops import float_reference as ref
from tests.backward_ops.test_product import broadcasts, tensor_of
from tflm_train.backward_ops.elementwise import RULES, broadcasts_simply, partial_derivative
from tflm_train.backward_ops.numerics import QuantizedGradient
from tflm_train.backward_ops.product import broadcast_names, plan, product_gradient
from tflm_train.graph import Op, Quantization, Tensor
from tflm_train.ops.builtin import BUILTINS

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "ABS": tf.abs,
    "DIV": tf.divide,
    "COS": tf.cos,
    "ELU": tf.nn.elu,
    "EXP": tf.exp,
    "LOG": tf.math.log,
    "NEG": tf.negative,
    "SIN": tf.sin,
    "SQRT": tf.sqrt,
    "SQUARE": tf.square,
    "HARD_SWISH": lambda a: a * tf.nn.relu6(a + 3) / 6,
    "LEAKY_RELU": lambda a: tf.nn.leaky_relu(a, 0.3),
    "LOGISTIC": tf.sigmoid,
    "RSQRT": tf.math.rsqrt,
    "SQUARED_DIFFERENCE": tf.math.squared_difference,
    "TANH": tf.tanh,
}
OF_INPUT = ("ABS", "COS", "ELU", "HARD_SWISH", "LEAKY_RELU", "NEG", "SIN", "SQUARE")
OPTIONS = SimpleNamespace(alpha=0.3)
OUTPUTS = {
    "LOGISTIC": (1 / 256, -128),
    "TANH": (1 / 128, 0),
    "RSQRT": (4 / 255, -128),
    "EXP": (20 / 255, -128),
}
"""Scale and zero point of functions whose derivative follows from their output."""


def test_each_operator_with_partial_derivatives_is_tried() -> None:
    with_partials = {row.name for row in BUILTINS.values() if row.partials}
    assert with_partials == set(FUNCTIONS)
    assert with_partials == set(RULES) - {"PRELU"}


def gradient_of(
    op: Op, index: int, gradient: QuantizedGradient, values: dict[int, Any], mask: Any = None
) -> QuantizedGradient:
    """The gradient of an input, from its terms as the rule lets them be added."""
    total: QuantizedGradient | None = None
    tensor = op.inputs[index]
    assert tensor is not None
    terms = partial_derivative(op, index)
    for number, ((x, factor),) in enumerate(terms):
        product = plan(broadcast_names(op.output.shape, tensor.shape, x.shape), factor)
        last = mask if number == len(terms) - 1 else None
        total = product_gradient(
            gradient, values[id(x)], factor.table, product, np.float32(0), last, total
        ).gradient
    assert total is not None
    return total


@pytest.mark.parametrize(
    "name", ["ABS", "COS", "ELU", "HARD_SWISH", "LEAKY_RELU", "NEG", "SIN", "SQUARE"]
)
@ref.property_test
@given(ref.activations, ref.seeds)
def test_functions_of_the_input(name: str, activation: ref.Activation, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = ref.random_input(rng, (4, 5, 3), activation)
    gradient = ref.random_gradient(rng, (4, 5, 3))
    if (x.x == x.zero_point).any() and activation == "NONE":
        # TensorFlow has a slope of its own at the very kink.
        gradient = QuantizedGradient(
            np.where(x.x == x.zero_point, np.int8(0), gradient.q), gradient.scale
        )
    expected = ref.input_gradient(FUNCTIONS[name], x, ref.dequantize(gradient))
    tensor = tensor_of(x)
    op = Op(name, [tensor], [tensor_of(x)], OPTIONS)
    result = gradient_of(op, 0, gradient, {id(tensor): x.x}, x.mask)
    ref.assert_parallel(
        ref.dequantize(result).reshape(x.x.shape), expected, cosine=0.999, norm=0.05
    )


@pytest.mark.parametrize("name", OUTPUTS)
@ref.property_test
@given(ref.seeds)
def test_functions_of_the_output(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scale, zero_point = OUTPUTS[name]
    real = rng.normal(0, 1.5, (4, 5, 3))
    if name == "RSQRT":
        real = np.abs(real) + 0.1
    if name == "EXP":
        real = np.minimum(real, 2.9)
    x = ref.QuantizedInput(real.astype(np.int8), np.float32(1), 0, None, real, "NONE")
    gradient = ref.random_gradient(rng, (4, 5, 3))
    expected = ref.input_gradient(FUNCTIONS[name], x, ref.dequantize(gradient))
    y = np.rint(FUNCTIONS[name](real).numpy() / scale + zero_point).clip(-128, 127).astype(np.int8)
    output = tensor_of(ref.QuantizedInput(y, np.float32(scale), zero_point, None, real, "NONE"))
    op = Op(name, [tensor_of(x)], [output])
    result = gradient_of(op, 0, gradient, {id(output): y})
    ref.assert_parallel(ref.dequantize(result).reshape(y.shape), expected, cosine=0.998, norm=0.05)


def real_of(x: ref.QuantizedInput) -> Any:
    return (x.x.astype(np.float64) - x.zero_point) * np.float64(x.scale)


def squared_difference(
    operands: list[ref.QuantizedInput], shape: tuple[int, ...], index: int, seed: int
) -> tuple[Any, Any, float]:
    """The gradient of one operand, TensorFlow's, and the largest value that a term reaches."""
    gradient = ref.random_gradient(np.random.default_rng(seed), shape)
    other = real_of(operands[1 - index])

    def forward(t: Any) -> Any:
        return FUNCTIONS["SQUARED_DIFFERENCE"](*((t, other) if index == 0 else (other, t)))

    expected = ref.input_gradient(forward, operands[index], ref.dequantize(gradient))
    tensors = [tensor_of(x) for x in operands]
    op = Op("SQUARED_DIFFERENCE", [*tensors], [Tensor.make("y", np.int8, shape)])
    values = {id(t): x.x for t, x in zip(tensors, operands, strict=True)}
    result = gradient_of(op, index, gradient, values, operands[index].mask)
    terms = [t for ((t, _),) in partial_derivative(op, index)]
    largest = max(255 * t.scale for t in terms) * np.abs(ref.dequantize(gradient)).sum()
    return ref.dequantize(result).reshape(expected.shape), expected, float(largest)


@ref.property_test
@given(broadcasts(), ref.activations, st.sampled_from((0, 1)), ref.seeds)
def test_functions_of_two_inputs(
    shapes: tuple[tuple[int, ...], ...], activation: ref.Activation, index: int, seed: int
) -> None:
    shape, *operand_shapes = shapes
    rng = np.random.default_rng(seed)
    operands = [ref.random_input(rng, s, activation) for s in operand_shapes]
    got, expected, largest = squared_difference(operands, shape, index, seed)
    # The first term is rounded to int8, more than half of which it fills, then the second added.
    assert np.abs(got - expected).max() <= largest / 64


@pytest.mark.parametrize("index", [0, 1])
def test_the_difference_from_a_mean(index: int) -> None:
    rng = np.random.default_rng(7)
    x = ref.random_input(rng, (16, 16, 8), "RELU6")
    q = x.x.mean(axis=(0, 1), keepdims=True).round().astype(np.int8)
    real = (q.astype(np.float64) - x.zero_point) * x.scale
    mean = ref.QuantizedInput(q, x.scale, x.zero_point, None, real, "NONE")
    got, expected, _ = squared_difference([x, mean], x.x.shape, index, 3)
    ref.assert_parallel(got, expected, cosine=0.999, norm=0.02)


def constant(value: float) -> Tensor:
    scale = Quantization(np.array([abs(value) / 100], np.float32), np.array([0]))
    data = np.array(100 if value > 0 else -100, np.int8)
    return Tensor.make("c", np.int8, (), data=data, quantization=scale)


def test_the_difference_from_a_number_is_one_term() -> None:
    rng = np.random.default_rng(0)
    x = ref.random_input(rng, (4, 5, 3), "NONE")
    tensor = tensor_of(x)
    op = Op("SQUARED_DIFFERENCE", [tensor, constant(0.7)], [Tensor.make("y", np.int8, (4, 5, 3))])
    (((of, factor),),) = partial_derivative(op, 0)
    assert of is tensor and factor.table is not None
    real = (np.arange(-128, 128) - x.zero_point) * np.float64(x.scale)
    np.testing.assert_allclose(factor.table * factor.unit_scale, 2 * (real - 0.7), atol=1e-3)


def test_sums_that_may_not_fit_are_refused() -> None:
    x = ref.random_input(np.random.default_rng(0), (1, 1), "NONE")
    scale = tensor_of(x).quantization
    for positions, fits in ((516, True), (517, False)):
        wide = Tensor.make("x", np.int8, (1, positions, 2), quantization=scale)
        mean = Tensor.make("mean", np.int8, (1, 1, 2), quantization=scale)
        y = Tensor.make("y", np.int8, (1, positions, 2), quantization=scale)
        reason = broadcasts_simply(Op("SQUARED_DIFFERENCE", [wide, mean], [y]))
        assert (reason is None) == fits, reason
