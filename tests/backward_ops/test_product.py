"""PRODUCT_GRAD against TensorFlow: products, broadcasting, matrix products, tables."""

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.backward_ops import float_reference as ref
from tflm_train.backward_ops.numerics import QuantizedGradient
from tflm_train.backward_ops.product import (
    Factor,
    Names,
    broadcast_names,
    plan,
    product_accumulator,
    product_gradient,
    tabulate,
    why_not_product,
)
from tflm_train.graph import Quantization, Tensor
from tflm_train.ops.constants import FactorKind

Real = npt.NDArray[np.float64]


def tensor_of(x: ref.QuantizedInput) -> Tensor:
    scale = Quantization(np.array([x.scale], np.float32), np.array([x.zero_point]))
    return Tensor.make("x", np.int8, x.x.shape, quantization=scale)


def gradient_of(
    gradient: QuantizedGradient, names: Names, factor: Factor, x: Any, mask: Any = None
) -> QuantizedGradient:
    product = plan(names, factor)
    return product_gradient(gradient, x, factor.table, product, np.float32(0), mask).gradient


@st.composite
def broadcasts(draw: st.DrawFn) -> tuple[tuple[int, ...], ...]:
    """The shape of an output, and two operand shapes that broadcast to it."""
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    masks = draw(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=3, max_size=3))
    a = [1 if m[0] and not m[1] else n for n, m in zip(shape, masks, strict=False)]
    b = [1 if m[1] and not m[0] else n for n, m in zip(shape, masks, strict=False)]
    return tuple(shape), tuple(a), tuple(b)


@ref.property_test
@given(broadcasts(), ref.activations, ref.seeds)
def test_mul(shapes: tuple[tuple[int, ...], ...], activation: ref.Activation, seed: int) -> None:
    shape, a_shape, b_shape = shapes
    rng = np.random.default_rng(seed)
    a = ref.random_input(rng, a_shape, activation)
    b = ref.random_input(rng, b_shape, "NONE")
    gradient = ref.random_gradient(rng, shape)
    expected = ref.input_gradient(lambda t: t * b.before_activation, a, ref.dequantize(gradient))
    names = broadcast_names(shape, a_shape, b_shape)
    result = gradient_of(gradient, names, Factor.activation(tensor_of(b)), b.x, a.mask)
    ref.assert_parallel(ref.dequantize(result).reshape(a_shape), expected, cosine=0.999, norm=0.05)


@ref.property_test
@given(broadcasts(), ref.activations, st.sampled_from((1, -1)), ref.seeds)
def test_sum_and_difference(
    shapes: tuple[tuple[int, ...], ...], activation: ref.Activation, sign: int, seed: int
) -> None:
    shape, a_shape, b_shape = shapes
    rng = np.random.default_rng(seed)
    a = ref.random_input(rng, a_shape, activation)
    gradient = ref.random_gradient(rng, shape)
    expected = ref.input_gradient(
        lambda t: sign * t + tf.zeros((1, *b_shape), tf.float64), a, ref.dequantize(gradient)
    )
    names = broadcast_names(shape, a_shape)
    result = gradient_of(gradient, names, Factor.constant(sign), None, a.mask)
    ref.assert_parallel(ref.dequantize(result).reshape(a_shape), expected, cosine=0.999, norm=0.05)


@ref.property_test
@given(st.tuples(*[st.integers(1, 5)] * 4), st.booleans(), st.booleans(), st.booleans(), ref.seeds)
def test_matrix_products(
    sizes: tuple[int, int, int, int], first: bool, adjoint: bool, shared: bool, seed: int
) -> None:
    batch, m, k, n = sizes
    rng = np.random.default_rng(seed)
    a = ref.random_input(rng, (batch, m, k), "NONE")
    b_batch = 1 if shared else batch
    b = ref.random_input(rng, (b_batch, n, k) if adjoint else (b_batch, k, n), "NONE")
    gradient = ref.random_gradient(rng, (batch, m, n))
    wanted, other = (a, b) if first else (b, a)

    def forward(t: Any) -> Any:
        pair = (t, b.before_activation) if first else (a.before_activation, t)
        return tf.matmul(*pair, transpose_b=adjoint)

    expected = ref.input_gradient(forward, wanted, ref.dequantize(gradient))
    names = {"b": batch, "m": m, "k": k, "n": n}
    b_axes = ["n", "k"] if adjoint else ["k", "n"]
    axes = [["b", "m", "k"], b_axes if b_batch == 1 else ["b", *b_axes]]
    if not first:
        axes.reverse()
    einsum = Names(names, axes[0], ["b", "m", "n"], axes[1])
    result = gradient_of(gradient, einsum, Factor.activation(tensor_of(other)), other.x)
    ref.assert_parallel(
        ref.dequantize(result).reshape(wanted.x.shape), expected, cosine=0.999, norm=0.05
    )


@ref.property_test
@given(ref.seeds)
def test_slopes_of_channels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = ref.random_input(rng, (4, 5, 3), "NONE")
    gradient = ref.random_gradient(rng, (4, 5, 3))
    gradient = QuantizedGradient(
        np.where(x.x == x.zero_point, np.int8(0), gradient.q), gradient.scale
    )
    slopes = rng.normal(size=3)
    expected = ref.input_gradient(
        lambda a: tf.where(a >= 0, a, slopes * a), x, ref.dequantize(gradient)
    )
    unit, table = tabulate(np.stack([slopes, np.ones(3)], axis=1))
    factor = Factor(FactorKind.SIGN, unit, x.zero_point, tensor_of(x), table.reshape(-1))
    names = broadcast_names(x.x.shape, x.x.shape, x.x.shape)
    result = gradient_of(gradient, names, factor, x.x)
    ref.assert_parallel(
        ref.dequantize(result).reshape(x.x.shape), expected, cosine=0.999, norm=0.05
    )


def test_the_largest_sum_fits() -> None:
    names = broadcast_names((1, 66311, 1), (1, 1, 1), (1, 66311, 1))
    factor = Factor(FactorKind.ACTIVATION, 1.0, -128)
    assert why_not_product(names, factor.largest) is None
    q = np.full(66311, 127, np.int8)
    acc = product_accumulator(q, q, None, plan(names, factor))
    assert acc.reshape(-1).tolist() == [127 * 255 * 66311]
    too_many = broadcast_names((1, 66312, 1), (1, 1, 1), (1, 66312, 1))
    assert "it sums 66312 products" in (why_not_product(too_many, factor.largest) or "")


def test_too_many_axes() -> None:
    shape = (2,) * 8
    names = broadcast_names(shape, (1, 2) * 4, shape)
    assert "too many separate axes (4 kept, 4 summed" in (why_not_product(names, 255) or "")


def test_tables_use_the_whole_range() -> None:
    for values in (np.array([0.0, -0.5, 0.25]), np.array([1e-9, 3e-9]), np.array([1e6, 1.0])):
        unit, table = tabulate(values)
        assert np.abs(table).max() == 32767
        np.testing.assert_allclose(table * unit, values, atol=0.6 * unit)
    assert tabulate(np.zeros(3))[1].tolist() == [0, 0, 0]
