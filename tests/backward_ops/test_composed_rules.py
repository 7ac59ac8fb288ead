"""Rules that compute a gradient by several ops, against TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st

from tests.backward_ops import float_reference as ref
from tests.backward_ops.rule_runner import input_gradients
from tflm_train.backward_ops.extremum import has_a_whole_operand, has_one_scale
from tflm_train.backward_ops.numerics import QuantizedGradient
from tflm_train.backward_ops.rules import RULES
from tflm_train.graph import Op, Quantization, Tensor

Int8 = npt.NDArray[np.int8]
SCALE, ZERO_POINT = 1 / 32, -7


def tensor(
    shape: tuple[int, ...],
    data: Int8 | None = None,
    scale: float = SCALE,
    zero_point: int = ZERO_POINT,
) -> Tensor:
    quantization = Quantization(np.array([scale], np.float32), np.array([zero_point]))
    return Tensor.make("t", np.int8, shape, data=data, quantization=quantization)


def real(values: Any, of: Tensor) -> Any:
    return (np.asarray(values, np.float64) - of.zero_point) * of.scale


def float_gradients(
    function: Callable[..., Any], arguments: list[Any], gradient: QuantizedGradient
) -> list[Any]:
    """TensorFlow's, of the function times the gradient of its result."""
    given = [tf.constant(a) for a in arguments]
    with tf.GradientTape() as tape:
        tape.watch(given)
        y = function(*given)
    return [
        np.zeros_like(a) if g is None else tf.convert_to_tensor(g).numpy()
        for a, g in zip(arguments, tape.gradient(y, given, ref.dequantize(gradient)), strict=True)
    ]


def assert_sum_is_near(got: Any, expected: Any, gradient: QuantizedGradient) -> None:
    """A sum over what an operand was broadcast to may cancel out: no relative error."""
    summed = np.abs(ref.dequantize(gradient)).sum() / got.size
    assert np.abs(got - expected).max() <= 0.01 * summed + 0.01 * np.abs(expected).max()


EXTREMA = {"MAXIMUM": (tf.maximum, np.maximum), "MINIMUM": (tf.minimum, np.minimum)}


@pytest.mark.parametrize("name", EXTREMA)
@pytest.mark.parametrize(
    ("first", "second"),
    [((4, 3, 5), (4, 3, 5)), ((4, 3, 5), (5,)), ((1, 3, 1), (4, 3, 5)), ((4, 3, 5), ())],
)
@pytest.mark.parametrize("constant", [False, True])
def test_the_gradient_goes_to_the_operand_that_is_the_output(
    name: str, first: tuple[int, ...], second: tuple[int, ...], constant: bool
) -> None:
    rng = np.random.default_rng([len(first), len(second)])
    values = [rng.integers(-128, 128, shape).astype(np.int8) for shape in (first, second)]
    is_constant = [constant and shape != (4, 3, 5) for shape in (first, second)]
    tensors = [
        tensor(shape, value if fixed else None)
        for shape, value, fixed in zip((first, second), values, is_constant, strict=True)
    ]
    y = tensor((4, 3, 5))
    op = Op(name, [*tensors], [y])
    result = EXTREMA[name][1](*values)
    gradient = ref.random_gradient(rng, (4, 3, 5))
    known = {id(t): v for t, v in zip([*tensors, y], [*values, result], strict=True)}
    got = input_gradients(op, gradient, known)
    arguments = [real(v, t) for v, t in zip(values, tensors, strict=True)]
    expected = float_gradients(EXTREMA[name][0], arguments, gradient)
    for mine, theirs, fixed in zip(got, expected, is_constant, strict=True):
        if fixed:
            assert mine is None
        else:
            assert mine is not None
            assert_sum_is_near(mine, theirs, gradient)


def test_equal_operands_share_one_gradient() -> None:
    a, b, y = tensor((6,)), tensor((6,)), tensor((6,))
    values = np.array([-3, 0, 5, 9, 9, 1], np.int8)
    gradient = ref.random_gradient(np.random.default_rng(0), (6,))
    known = {id(a): values, id(b): values.copy(), id(y): values}
    first, second = input_gradients(Op("MAXIMUM", [a, b], [y]), gradient, known)
    assert first is not None and second is not None
    np.testing.assert_allclose(first + second, ref.dequantize(gradient), rtol=0.02, atol=1e-7)
    assert np.abs(second).max() < 0.02 * np.abs(first).max()


def test_extrema_that_cannot_be_told_apart_are_refused() -> None:
    x, other = tensor((4,)), tensor((4,), scale=SCALE * 2)
    assert "different scales" in str(has_one_scale(Op("MAXIMUM", [x, other], [tensor((4,))])))
    op = Op("MAXIMUM", [tensor((3, 1)), tensor((1, 4))], [tensor((3, 4))])
    assert "of the output's shape" in str(has_a_whole_operand(op))


@ref.property_test
@given(st.integers(1, 6), st.integers(2, 24), st.floats(0.3, 2), ref.seeds)
def test_softmax(rows: int, places: int, beta: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = tensor((rows, places)), tensor((rows, places), None, 1 / 256, -128)
    # Not so steep that the output is of one element: nothing passes there.
    values = rng.integers(-40, 40, (rows, places)).astype(np.int8)
    exact = tf.nn.softmax(beta * real(values, x)).numpy()
    q = (np.rint(exact * 256) - 128).clip(-128, 127).astype(np.int8)
    options = schema.SoftmaxOptionsT()
    options.beta = beta
    gradient = ref.random_gradient(rng, (rows, places))
    (got,) = input_gradients(Op("SOFTMAX", [x], [y], options), gradient, {id(x): values, id(y): q})
    (expected,) = float_gradients(lambda t: tf.nn.softmax(beta * t), [real(values, x)], gradient)
    # An output of 1/256 steps, of which few are large.
    assert got is not None
    rounded = np.linalg.norm((exact - (q + 128.0) / 256) * ref.dequantize(gradient))
    scale = np.linalg.norm(exact * ref.dequantize(gradient))
    error = np.linalg.norm(got - expected) / beta
    assert error <= 2 * rounded + 0.02 * scale, (error, rounded, scale)


def test_a_softmax_gradient_that_is_the_same_everywhere_is_next_to_nothing() -> None:
    x, y = tensor((3, 8)), tensor((3, 8), None, 1 / 256, -128)
    q = np.full((3, 8), 32 - 128, np.int8)
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    gradient = QuantizedGradient(np.full((3, 8), 100, np.int8), np.float32(1))
    values = np.zeros((3, 8), np.int8)
    (got,) = input_gradients(Op("SOFTMAX", [x], [y], options), gradient, {id(x): values, id(y): q})
    assert got is not None
    assert np.abs(got).max() < 100 / 127 / 8


@pytest.mark.parametrize(
    ("axis", "places"), [(0, [2, 0]), (1, [1]), (2, [4, 4, 0, 3]), (-1, [[0, 1], [2, 2]])]
)
def test_gather(axis: int, places: Any) -> None:
    rng = np.random.default_rng(axis + 5)
    x = tensor((3, 4, 5))
    values = rng.integers(-128, 128, (3, 4, 5)).astype(np.int8)
    taken = np.take(values, places, axis)
    options = schema.GatherOptionsT()
    options.axis = axis
    index = Tensor.constant("places", np.array(places, np.int32))
    y = tensor(taken.shape)
    gradient = ref.random_gradient(rng, taken.shape)
    op = Op("GATHER", [x, index], [y], options)
    got, nothing = input_gradients(op, gradient, {id(x): values, id(y): taken})
    (expected,) = float_gradients(
        lambda t: tf.gather(t, places, axis=axis), [real(values, x)], gradient
    )
    assert got is not None and nothing is None
    ref.assert_parallel(got, expected, cosine=0.9995, norm=0.02)


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_cumsum(axis: int, exclusive: bool, reverse: bool) -> None:
    rng = np.random.default_rng(axis + 9)
    x, y = tensor((3, 4, 5)), tensor((3, 4, 5))
    values = rng.integers(-128, 128, (3, 4, 5)).astype(np.int8)
    options = schema.CumsumOptionsT()
    options.exclusive, options.reverse = exclusive, reverse
    gradient = ref.random_gradient(rng, (3, 4, 5))
    op = Op("CUMSUM", [x, Tensor.constant("axis", np.array(axis, np.int32))], [y], options)
    got, _ = input_gradients(op, gradient, {id(x): values, id(y): values})
    (expected,) = float_gradients(
        lambda t: tf.cumsum(t, axis, exclusive, reverse), [real(values, x)], gradient
    )
    assert got is not None
    ref.assert_parallel(got, expected, cosine=0.9995, norm=0.02)


@pytest.mark.parametrize("constant", [False, True])
def test_div(constant: bool) -> None:
    rng = np.random.default_rng(1)
    a, y = tensor((4, 3, 5)), tensor((4, 3, 5), None, 1 / 16, 0)
    divisor = rng.integers(20, 128, (3, 1)).astype(np.int8)
    b = tensor((3, 1), divisor if constant else None, zero_point=0)
    values = rng.integers(-128, 128, (4, 3, 5)).astype(np.int8)
    arguments = [real(values, a), real(divisor, b)]
    q = np.rint(arguments[0] / arguments[1] * 16).clip(-128, 127).astype(np.int8)
    gradient = ref.random_gradient(rng, (4, 3, 5))
    op = Op("DIV", [a, b], [y], schema.DivOptionsT())
    got = input_gradients(op, gradient, {id(a): values, id(b): divisor, id(y): q})
    expected = float_gradients(lambda s, t: s / t, arguments, gradient)
    assert got[0] is not None and (got[1] is None) == constant
    ref.assert_parallel(got[0], expected[0], cosine=0.999, norm=0.02)
    if got[1] is not None:
        assert_sum_is_near(got[1], expected[1], gradient)


def test_places_that_are_computed_are_refused() -> None:
    options = schema.GatherOptionsT()
    index = Tensor.make("places", np.int32, (2,))
    op = Op("GATHER", [tensor((3, 4)), index], [tensor((2, 4))], options)
    assert "computed at run time" in str(RULES["GATHER"].why_not(op))
    options.batchDims = 1
    op.inputs[1] = Tensor.constant("places", np.array([[0], [1], [0]], np.int32))
    assert "in each of 1 dimensions" in str(RULES["GATHER"].why_not(op))
