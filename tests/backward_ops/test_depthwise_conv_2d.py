import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.backward_ops import float_reference as ref
from tflm_train.backward_ops import depthwise_conv_2d
from tflm_train.backward_ops.numerics import max_abs
from tflm_train.ops.geometry import Geometry


@ref.property_test
@given(
    ref.windows("depthwise"),
    ref.activations,
    ref.seeds,
    st.sampled_from((1, 1000)),
    st.sampled_from((0, 2.0)),
)
def test_gradients_are_tensorflows(
    window: ref.Window, activation: ref.Activation, seed: int, spread: float, predicted: float
) -> None:
    rng = np.random.default_rng(seed)
    g = window.geometry
    x, gradient = ref.random_pass(rng, g, activation)
    weights = ref.random_weights(rng, (g.k_h, g.k_w, g.out_c))
    scales = ref.random_scales(rng, g.out_c, spread)
    dx, dw = ref.depthwise_gradients(
        window, x, weights * scales.astype(np.float64), ref.dequantize(gradient)
    )

    multipliers = depthwise_conv_2d.depthwise_multipliers(scales, g)
    acc = depthwise_conv_2d.input_accumulator(gradient.q, weights, multipliers, g)
    largest = np.abs(acc).max() * 2.0**-depthwise_conv_2d.FRACTION_BITS
    range_ = np.float32(predicted * largest / max_abs(gradient.q))
    result = depthwise_conv_2d.input_gradient(gradient, weights, multipliers, g, range_, x.mask)
    ref.assert_parallel(ref.dequantize(result.gradient), dx, cosine=0.99, norm=0.05)
    unit = np.float64(gradient.scale) * np.float64(multipliers.unit_scale)
    exact = ref.depthwise_gradients(
        window,
        ref.random_input(rng, x.x.shape, "NONE"),
        weights * scales.astype(np.float64),
        ref.dequantize(gradient),
    )[0]
    # Half a step of each multiplier.
    products = 127 * 128 * g.k_h * g.k_w * window.multiplier
    step = unit * 2.0**-depthwise_conv_2d.FRACTION_BITS
    error = np.abs(acc * step - exact)
    assert error.max() <= 0.51 * step * products + 1e-6 * np.abs(exact).max()

    G, B = depthwise_conv_2d.weight_gradient(gradient.q, x.x, x.zero_point, g)
    step = np.float64(gradient.scale) * x.scale
    np.testing.assert_allclose(G * step, dw, rtol=1e-6, atol=1e-6 * np.abs(dw).max())
    np.testing.assert_array_equal(B, gradient.q.sum(axis=(0, 1), dtype=np.int64))


@ref.property_test
@given(ref.seeds, st.integers(-30, 30), st.booleans())
def test_a_prediction_costs_no_precision(seed: int, log2_range: int, adds: bool) -> None:
    rng = np.random.default_rng(seed)
    g = depthwise_conv_2d.Geometry.from_options((5, 6, 8), 8, (3, 3), padding="SAME")
    gradient = ref.random_gradient(rng, (g.out_h, g.out_w, 8))
    weights = ref.random_weights(rng, (3, 3, 8))
    multipliers = depthwise_conv_2d.depthwise_multipliers(ref.random_scales(rng, 8, 30), g)
    addend = ref.random_gradient(rng, (g.in_h, g.in_w, 8)) if adds else None
    first = depthwise_conv_2d.input_gradient(
        gradient, weights, multipliers, g, np.float32(0), addend=addend
    )
    range_ = first.range_ * np.float32(2.0 ** min(log2_range, 1))
    result = depthwise_conv_2d.input_gradient(
        gradient, weights, multipliers, g, range_, addend=addend
    )
    exact = ref.dequantize(first.gradient)
    error = np.abs(ref.dequantize(result.gradient) - exact)
    assert error.max() <= 1.5 * max(result.scale, first.scale) + 1e-6 * np.abs(exact).max()


def test_unequal_strides_by_the_definition() -> None:
    rng = np.random.default_rng(2)
    g = depthwise_conv_2d.Geometry.from_options((7, 8, 2), 4, (3, 2), (2, 3), (1, 2), "SAME")
    q = ref.random_gradient(rng, (g.out_h, g.out_w, 4)).q
    x = ref.random_weights(rng, (7, 8, 2))
    weights = ref.random_weights(rng, (3, 2, 4))
    v = np.zeros((7, 8, 4), np.int64)
    expected_G = np.zeros((3, 2, 4), np.int64)
    for oy, ox, ky, kx, c in np.ndindex(g.out_h, g.out_w, 3, 2, 4):
        iy = oy * 2 + ky - g.pad_t
        ix = ox * 3 + kx * 2 - g.pad_l
        if 0 <= iy < 7 and 0 <= ix < 8:
            v[iy, ix, c] += int(q[oy, ox, c]) * int(weights[ky, kx, c])
            expected_G[ky, kx, c] += int(q[oy, ox, c]) * (int(x[iy, ix, c // 2]) + 9)
    scales = np.array([1, 0.125, 0.5, 0.25])
    multipliers = depthwise_conv_2d.depthwise_multipliers(scales, g)
    acc = depthwise_conv_2d.input_accumulator(q, weights, multipliers, g)
    expected = (v * scales).reshape(7, 8, 2, 2).sum(axis=3)
    unit = np.float64(multipliers.unit_scale) * 2.0**-depthwise_conv_2d.FRACTION_BITS
    np.testing.assert_array_equal(acc * unit, expected)
    np.testing.assert_array_equal(depthwise_conv_2d.weight_gradient(q, x, -9, g)[0], expected_G)


def test_multipliers_are_the_nearest_of_16_bits() -> None:
    g = Geometry.from_options((3, 3, 4), 4, (3, 3))
    scales = np.array([1, 0.3, 0.2, 2**-17], np.float32)
    found = depthwise_conv_2d.depthwise_multipliers(scales, g)
    # 19660.8, 13107.2 and a half, which goes up.
    assert found.m.tolist() == [65536, 19661, 13107, 1]
    assert found.unit_scale == 1
