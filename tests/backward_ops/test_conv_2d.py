import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.backward_ops import float_reference as ref
from tflm_train.backward_ops import conv_2d
from tflm_train.backward_ops.numerics import QuantizedGradient, max_abs
from tflm_train.errors import ModelError, UnsupportedError
from tflm_train.ops.geometry import Geometry


@ref.property_test
@given(
    ref.windows("conv"), ref.activations, ref.seeds, st.booleans(), st.sampled_from((0.0, 0.9, 2.0))
)
def test_gradients_are_tensorflows(
    window: ref.Window, activation: ref.Activation, seed: int, per_channel: bool, predicted: float
) -> None:
    rng = np.random.default_rng(seed)
    g = window.geometry
    x, gradient = ref.random_pass(rng, g, activation)
    weights = ref.random_weights(rng, (g.out_c, g.k_h, g.k_w, g.in_c))
    scales = ref.random_scales(rng, g.out_c if per_channel else 1, spread=10)
    real_weights = weights * scales.astype(np.float64).reshape(-1, 1, 1, 1)
    dx, dw = ref.conv_gradients(window, x, real_weights, ref.dequantize(gradient))

    multipliers = conv_2d.conv_multipliers(scales, g)
    acc = conv_2d.input_accumulator(gradient.q, weights, multipliers, g)
    range_ = np.float32(predicted * max_abs(acc) / max_abs(gradient.q))
    result = conv_2d.input_gradient(gradient, weights, multipliers, g, range_, x.mask)
    ref.assert_parallel(ref.dequantize(result.gradient), dx, cosine=0.99, norm=0.05)

    G, B = conv_2d.weight_gradient(gradient.q, x.x, x.zero_point, g)
    unit = np.float64(gradient.scale) * x.scale
    np.testing.assert_allclose(G * unit, dw, rtol=1e-6, atol=1e-6 * np.abs(dw).max())
    np.testing.assert_array_equal(B, gradient.q.sum(axis=(0, 1), dtype=np.int64))


@ref.property_test
@given(ref.windows("conv"), ref.seeds)
def test_input_accumulator_is_exact_but_for_the_seven_bit_scales(
    window: ref.Window, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    g = window.geometry
    x = ref.random_input(rng, (g.in_h, g.in_w, g.in_c), "NONE")
    gradient = ref.random_gradient(rng, (g.out_h, g.out_w, g.out_c))
    weights = ref.random_weights(rng, (g.out_c, g.k_h, g.k_w, g.in_c))
    m, unit_scale, _, group_shift = multipliers = conv_2d.conv_multipliers(
        ref.random_scales(rng, g.out_c, spread=100), g
    )
    assert group_shift == 0
    rounded_scales = m * (np.float64(unit_scale))
    dx, _ = ref.conv_gradients(
        window, x, weights * rounded_scales.reshape(-1, 1, 1, 1), ref.dequantize(gradient)
    )
    acc = conv_2d.input_accumulator(gradient.q, weights, multipliers, g)
    unit = np.float64(gradient.scale) * np.float64(unit_scale)
    np.testing.assert_allclose(acc * unit, dx, rtol=1e-6, atol=1e-3 * unit)


@ref.property_test
@given(st.integers(1100, 3000), ref.seeds)
def test_more_channels_than_one_sum_holds(out_c: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    g = Geometry.dense(2, 6, out_c)
    multipliers = conv_2d.conv_multipliers([1.0], g)
    assert multipliers.group == 1048
    # All products of one sign and full size: the worst case for the int32 sum.
    weights = np.full((out_c, 1, 1, 6), 127, np.int8)
    weights[:, :, :, 3:] = ref.random_weights(rng, (out_c, 1, 1, 3))
    q = np.full((2, 1, out_c), -127, np.int8)
    q[1] = ref.random_gradient(rng, (1, out_c)).q
    acc = conv_2d.input_accumulator(q, weights, multipliers, g)
    exact = q.reshape(2, out_c).astype(np.float64) @ weights.reshape(out_c, 6)
    groups = -(-out_c // multipliers.group)
    error = acc.reshape(2, 6) * np.float64(multipliers.unit_scale) - exact
    # Half a step of each partial sum, and the float unit itself.
    slack = 0.5 * groups * float(multipliers.unit_scale)
    assert np.abs(error).max() <= slack + 1e-6 * np.abs(exact).max()


def test_addend_is_the_sum_of_both_branches() -> None:
    rng = np.random.default_rng(5)
    window = ref.Window(Geometry.from_options((6, 6, 4), 7, (3, 3), padding="SAME"), "SAME")
    g = window.geometry
    x = ref.random_input(rng, (6, 6, 4), "RELU6")
    gradient = ref.random_gradient(rng, (6, 6, 7))
    weights = ref.random_weights(rng, (7, 3, 3, 4))
    scales = ref.random_scales(rng, 7, spread=3)
    dx, _ = ref.conv_gradients(
        window,
        x,
        weights * scales.reshape(-1, 1, 1, 1).astype(np.float64),
        ref.dequantize(gradient),
    )
    skip = ref.random_gradient(rng, (6, 6, 4))
    skip = QuantizedGradient(skip.q, np.float32(np.abs(dx).max() / 100))
    assert x.mask is not None
    passes = x.mask.passes(x.x.size).reshape(x.x.shape)
    result = conv_2d.input_gradient(
        gradient, weights, conv_2d.conv_multipliers(scales, g), g, np.float32(0), x.mask, skip
    )
    expected = dx + np.where(passes, ref.dequantize(skip), 0)
    ref.assert_parallel(ref.dequantize(result.gradient), expected, cosine=0.999, norm=0.01)


def test_unusable_layers_are_refused() -> None:
    g = Geometry.from_options((40, 40, 1), 3, (33, 33))
    with pytest.raises(UnsupportedError, match="33x33 kernel"):
        conv_2d.conv_multipliers([1.0], g)
    g = Geometry.dense(1, 4, 3)
    for scales in ([1.0, 2.0], [0.0], [1.0, -1.0, 1.0], [1.0, float("nan"), 1.0]):
        with pytest.raises(ModelError, match="weight scales"):
            conv_2d.conv_multipliers(scales, g)
