import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given

from tests.backward_ops import float_reference as ref
from tflm_train.backward_ops import pool
from tflm_train.backward_ops.numerics import QuantizedGradient
from tflm_train.ops.geometry import Geometry


@ref.property_test
@given(ref.windows("pool"), ref.activations, ref.seeds)
def test_average_pool(window: ref.Window, activation: ref.Activation, seed: int) -> None:
    rng = np.random.default_rng(seed)
    g = window.geometry
    x, gradient = ref.random_pass(rng, g, activation)
    expected = ref.input_gradient(
        lambda a: tf.nn.avg_pool2d(a, (g.k_h, g.k_w), (g.stride_h, g.stride_w), window.padding),
        x,
        ref.dequantize(gradient),
    )
    result = pool.pool_gradient(gradient, g, np.float32(0), x.mask)
    if pool.uniform_count(g) is None:
        # Halves are frequent here, and rounding them away from zero lengthens small gradients.
        ref.assert_parallel(ref.dequantize(result.gradient), expected, cosine=0.999, norm=0.05)
    else:
        np.testing.assert_allclose(ref.dequantize(result.gradient), expected, rtol=1e-6)
        assert result.range_ == 0


@pytest.mark.parametrize("axes", [(1,), (2,), (1, 2)])
def test_mean(axes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    x = ref.random_input(rng, (5, 7, 3), "RELU")
    g = pool.spanning_geometry((5, 7, 3), over_h=1 in axes, over_w=2 in axes)
    gradient = ref.random_gradient(rng, (g.out_h, g.out_w, 3))
    expected = ref.input_gradient(
        lambda a: tf.reduce_mean(a, axes, keepdims=True), x, ref.dequantize(gradient)
    )
    result = pool.pool_gradient(gradient, g, np.float32(0), x.mask)
    np.testing.assert_allclose(ref.dequantize(result.gradient), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("kernel", "strides", "padding", "count"),
    [
        ((2, 2), (2, 2), "VALID", 4),
        ((2, 2), (3, 3), "VALID", 4),
        ((2, 3), (2, 2), "VALID", None),
        # Windows clipped alike by the padding, and not.
        ((4, 4), (4, 4), "SAME", 9),
        ((4, 4), (5, 5), "SAME", None),
        ((6, 6), (1, 1), "VALID", 36),
    ],
)
def test_uniform_pools(
    kernel: tuple[int, int], strides: tuple[int, int], padding: str, count: int | None
) -> None:
    g = Geometry.from_options((6, 6, 2), 2, kernel, strides, padding=padding)  # type: ignore[arg-type]
    assert pool.uniform_count(g) == count


@pytest.mark.parametrize(("position", "count"), [((0, 0), 4), ((0, 2), 6), ((2, 2), 9)])
def test_clipped_windows_weigh_by_their_own_size(position: tuple[int, int], count: int) -> None:
    g = Geometry.from_options((5, 5, 1), 1, (3, 3), padding="SAME")
    q = np.zeros((5, 5, 1), np.int8)
    q[position] = 127
    result = pool.pool_gradient(QuantizedGradient(q, np.float32(1)), g, np.float32(0))
    assert np.count_nonzero(result.q) == count
    # The range is the largest accumulator, as far as q holds it, over the largest q: the weight.
    assert result.range_ == pytest.approx(math.floor(16384 / count + 0.5), rel=0.5 / 63)
