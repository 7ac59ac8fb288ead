"""TRANSPOSE_CONV: the reference of CONV_2D over a transposed geometry, against TensorFlow."""

from dataclasses import astuple
from typing import Any

import numpy as np
import tensorflow as tf
from hypothesis import given

from tests.backward_ops import float_reference as ref
from tflm_train.backward_ops import conv_2d
from tflm_train.ops.geometry import TransposedGeometry


@ref.property_test
@given(ref.windows("conv"), ref.activations, ref.seeds)
def test_gradients_are_tensorflows(
    window: ref.Window, activation: ref.Activation, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    # The convolution from this layer's output to its input.
    back = window.geometry
    strides = (back.stride_h, back.stride_w)
    if back.dil_h != 1 or back.dil_w != 1:
        return
    g = TransposedGeometry(
        back.out_h, back.out_w, back.out_c, back.in_h, back.in_w, back.in_c, *astuple(back)[6:]
    )
    x, gradient = ref.random_pass(rng, g, activation)
    weights = ref.random_weights(rng, (g.out_c, g.k_h, g.k_w, g.in_c))
    scales = ref.random_scales(rng, g.out_c, spread=10)

    def forward(a: Any, w: Any) -> Any:
        kernel = tf.transpose(w, (1, 2, 0, 3))  # [k_h, k_w, out, in]
        return tf.nn.conv2d_transpose(
            a, kernel, (1, g.out_h, g.out_w, g.out_c), strides, window.padding
        )

    real = weights * scales.astype(np.float64).reshape(-1, 1, 1, 1)
    dx, dw = ref.differentiate(forward, x, real, ref.dequantize(gradient))
    multipliers = conv_2d.conv_multipliers(scales, g)
    result = conv_2d.input_gradient(gradient, weights, multipliers, g, np.float32(0), x.mask)
    ref.assert_parallel(ref.dequantize(result.gradient), dx, cosine=0.99, norm=0.05)
    G, B = conv_2d.weight_gradient(gradient.q, x.x, x.zero_point, g)
    unit = np.float64(gradient.scale) * x.scale
    np.testing.assert_allclose(G * unit, dw, rtol=1e-6, atol=1e-6 * np.abs(dw).max())
    np.testing.assert_array_equal(B, gradient.q.sum(axis=(0, 1), dtype=np.int64))
