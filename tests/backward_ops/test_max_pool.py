import numpy as np
import tensorflow as tf
from hypothesis import given

from tests.backward_ops import float_reference as ref
from tflm_train.backward_ops.max_pool import max_pool_gradient
from tflm_train.backward_ops.numerics import QuantizedGradient
from tflm_train.backward_ops.pool import spanning_geometry
from tflm_train.ops.geometry import Geometry


@ref.property_test
@given(ref.windows("pool"), ref.activations, ref.seeds)
def test_max_pool(window: ref.Window, activation: ref.Activation, seed: int) -> None:
    rng = np.random.default_rng(seed)
    g = window.geometry
    x, gradient = ref.random_pass(rng, g, activation)

    def forward(a: tf.Tensor) -> tf.Tensor:
        return tf.nn.max_pool2d(a, (g.k_h, g.k_w), (g.stride_h, g.stride_w), window.padding)

    y = forward(x.x[np.newaxis].astype(np.float64)).numpy()[0].astype(np.int8)
    clamped = (x.x <= x.mask.act_min) | (x.x >= x.mask.act_max) if x.mask else np.False_
    expected = ref.input_gradient(forward, x, ref.dequantize(gradient))
    result = max_pool_gradient(gradient, x.x, y, g, np.float32(0), x.mask)
    assert not ref.dequantize(result.gradient)[np.broadcast_to(clamped, x.x.shape)].any()
    ref.assert_parallel(ref.dequantize(result.gradient), expected, cosine=0.999, norm=0.05)


def test_the_first_of_equal_elements_gets_all() -> None:
    g = Geometry.from_options((2, 3, 1), 1, (2, 2))
    x = np.array([[5, 5, 5], [5, 5, 5]], np.int8)
    gradient = QuantizedGradient(np.array([[3, 7]], np.int8), np.float32(1))
    result = max_pool_gradient(gradient, x, np.array([5, 5], np.int8), g, np.float32(0))
    assert result.q[:, :, 0].tolist() == [[3, 7, 0], [0, 0, 0]]
    # A maximum that two ref.windows share gets both; one that a clamp hides gets nothing.
    x[0, 1] = 6
    result = max_pool_gradient(gradient, x, np.array([6, 6], np.int8), g, np.float32(0))
    assert result.q[:, :, 0].tolist() == [[0, 10, 0], [0, 0, 0]]
    result = max_pool_gradient(gradient, x, np.array([4, 4], np.int8), g, np.float32(0))
    assert not result.q.any()


def test_maximum_of_an_image() -> None:
    rng = np.random.default_rng(0)
    g = spanning_geometry((4, 5, 3), True, True)
    x = rng.permuted(np.arange(60, dtype=np.int8)).reshape(4, 5, 3)
    gradient = QuantizedGradient(np.array([[[-127, 3, 40]]], np.int8), np.float32(1))
    result = max_pool_gradient(gradient, x, x.max(axis=(0, 1)), g, np.float32(0))
    assert np.count_nonzero(result.q) == 3
    np.testing.assert_array_equal(result.q.sum(axis=(0, 1)), gradient.q[0, 0])
