import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.backward_ops import float_reference as ref
from tests.qas.whole_layer import Parameters, update_layer
from tflm_train.backward_ops import conv_2d, depthwise_conv_2d
from tflm_train.backward_ops.numerics import hash32
from tflm_train.errors import UnsupportedError
from tflm_train.ops.geometry import Geometry, TapWindow
from tflm_train.qas import update

INT32_MAX = 2**31 - 1


def factor_limit(g: Geometry, depthwise: bool) -> float:
    """The most that a unit of a layer's gradient sum moves a weight."""
    fan_in = g.k_h * g.k_w * (1 if depthwise else g.in_c)
    return min(
        0.5 / (fan_in * math.isqrt(g.positions)), 2.0 ** (update.gain_shift(g.positions) - 17)
    )


def fine_weights(parameters: Parameters) -> npt.NDArray[np.float64]:
    """Weights in steps of the int8 grid, the residual's fraction included."""
    fine = parameters.weights.astype(np.float64)
    return fine if parameters.residual is None else fine + parameters.residual / 256


@ref.property_test
@given(ref.windows("conv") | ref.windows("depthwise"), ref.seeds, st.booleans(), st.floats(-3, 1))
def test_a_step_is_float_sgd_in_real_weight_space(
    window: ref.Window, seed: int, with_residual: bool, log10_step: float
) -> None:
    rng = np.random.default_rng(seed)
    g = window.geometry
    depthwise = window.depthwise
    shape = (g.k_h, g.k_w, g.out_c) if depthwise else (g.out_c, g.k_h, g.k_w, g.in_c)
    x = ref.random_input(rng, (g.in_h, g.in_w, g.in_c), "NONE")
    gradient = ref.random_gradient(rng, (g.out_h, g.out_w, g.out_c))
    s_w = ref.random_scales(rng, g.out_c, spread=100)
    per_channel = s_w.astype(np.float64)
    if not depthwise:
        per_channel = per_channel.reshape(-1, 1, 1, 1)
    before = Parameters(
        rng.integers(-80, 81, shape).astype(np.int8),
        rng.integers(-5000, 5000, g.out_c).astype(np.int32),
        rng.integers(-128, 128, shape).astype(np.int8) if with_residual else None,
    )
    layer, oracle = (
        (depthwise_conv_2d, ref.depthwise_gradients) if depthwise else (conv_2d, ref.conv_gradients)
    )
    _, dw = oracle(window, x, before.weights * per_channel, ref.dequantize(gradient))
    # A learning rate at which the largest weight moves by 0.001 to 10 steps.
    learning_rate = np.float32(10**log10_step / np.abs(dw / per_channel).max())

    layer_factors = update.factors(float(x.scale), s_w)
    G, B = layer.weight_gradient(gradient.q, x.x, x.zero_point, g)
    after = update_layer(
        before, G, B, layer_factors, g,
        learning_rate=learning_rate, grad_scale=gradient.scale, depthwise=depthwise, key=seed,
        residual_bits=8 if with_residual else 0,
    )  # fmt: skip

    factor = float(learning_rate) * float(gradient.scale) * layer_factors.kw
    slowed = np.minimum(1, factor_limit(g, depthwise) / factor)
    if not depthwise:
        slowed = slowed.reshape(-1, 1, 1, 1)
    expected = fine_weights(before) - learning_rate * dw / per_channel * slowed
    error = np.abs(fine_weights(after) - expected).max()
    # 256ths: half a step of the sum, a quarter from the multiplier. Without residual: less than 1.
    assert error <= (1 / 256 if with_residual else 1.001)
    assert after.bias is not None
    assert before.bias is not None
    db = ref.dequantize(gradient).sum(axis=(0, 1))
    moved = learning_rate * db / (np.float64(x.scale) * s_w)
    moved = np.abs(moved).clip(max=2**30) * np.sign(moved)
    error = np.abs((before.bias - moved).clip(-(2**30), 2**30) - after.bias)
    assert (error <= 0.5 + 1e-6 * np.abs(moved)).all()


def test_factors() -> None:
    s_w = np.array([0.002, 0.004, 1e-9, 0.003, 0.0, 1e-42], np.float32)
    kw, kb, dead = update.factors(0.5, s_w)
    assert kw.dtype == kb.dtype == np.float32
    assert dead.tolist() == [False, False, True, False, True, True]
    np.testing.assert_allclose(kw, [250, 125, 0, 0.5 / 0.003, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(kb, [1000, 500, 0, 2 / 0.003, 0, 0], rtol=1e-6)
    plain = update.factors(0.5, s_w, qas=False)
    np.testing.assert_allclose(plain.kw, kw * s_w.astype(np.float64) ** 2, rtol=1e-6)
    np.testing.assert_allclose(plain.kb, kb * (0.5 * s_w.astype(np.float64)) ** 2, rtol=1e-6)
    assert plain.dead.tolist() == dead.tolist()


@pytest.mark.parametrize(
    ("least", "low", "high"),
    [
        ("0x1.245650p-20", "0x1.bbd200p-19", "0x1.be1078p-3"),
        ("0x1.1607b6p-19", "0x1.ce15c0p-18", "0x1.a83bb6p-2"),
    ],
)
def test_a_channel_on_the_bound_is_alive(least: str, low: str, high: str) -> None:
    """The least scale is that share of the median, the mean of the middle two, to the last bit."""
    scales = [float.fromhex(text) for text in (least, low, high)]
    assert scales[0] == update.DEAD_CHANNEL_RATIO * (scales[1] + scales[2]) / 2
    s_w = np.array([*scales, 1], np.float32)
    assert update.factors(0.5, s_w).dead.tolist() == [False] * 4
    s_w[0] = np.nextafter(s_w[0], np.float32(0))
    assert update.factors(0.5, s_w).dead.tolist() == [True, False, False, False]


def test_a_layer_of_dead_channels_only() -> None:
    kw, kb, dead = update.factors(0.5, np.zeros(3, np.float32))
    assert dead.all()
    assert not kw.any()
    assert not kb.any()


@ref.property_test
@given(st.integers(1, 66311))
def test_gain_shift_is_the_largest_that_fits_up_to_12(positions: int) -> None:
    shift = update.gain_shift(positions)
    largest = 127 * 255 * positions
    assert largest << shift <= INT32_MAX
    assert shift == 12 or largest << (shift + 1) > INT32_MAX


def test_gain_shift_refuses_what_does_not_fit() -> None:
    with pytest.raises(UnsupportedError, match="66312 output positions"):
        update.gain_shift(66312)


def one_step(
    weights: npt.NDArray[np.int8],
    residual: npt.NDArray[np.int8] | None,
    step: float,
    **options: Any,
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8] | None]:
    """Moves every weight by about -`step`: `G` is 1000, `lr * s_g * kw` is `step / 1000`."""
    kw = np.full(weights.shape[0], step / 1000, np.float32)
    shift = update.gain_shift(1)
    bits = 0 if residual is None else 8
    m = update.multipliers(1.0, np.float32(1), kw, shift, bits, INT32_MAX)
    G = np.full(weights.shape, 1000, np.int32)
    return update.update_weights(
        weights, residual, G, m, shift, channel_axis=0, residual_bits=bits, **options
    )


def test_the_residual_keeps_small_updates() -> None:
    weights: npt.NDArray[np.int8] = np.arange(-20, 20, dtype=np.int8).reshape(4, 10)
    residual: npt.NDArray[np.int8] | None = np.zeros(weights.shape, np.int8)
    start = weights.copy()
    for _ in range(256):
        weights, residual = one_step(weights, residual, 3 / 256)
    np.testing.assert_array_equal(weights, start - 3)
    assert residual is not None
    assert not residual.any()


def test_stochastic_rounding_is_unbiased() -> None:
    start = np.zeros((8, 500), np.int8)
    steps = 100
    moved = np.zeros(start.shape)
    for step in range(1, steps + 1):
        moved += one_step(start, None, 0.1, key=update.stochastic_key(7, step, 3))[0]
    sigma = math.sqrt(0.1 * 0.9)
    assert abs(moved.mean() / steps + 0.1) < 5 * sigma / math.sqrt(steps * start.size)
    # Every single element too, over the steps.
    assert np.abs(moved / steps + 0.1).max() < 6 * sigma / math.sqrt(steps)


def test_many_small_steps_arrive_on_average() -> None:
    weights: npt.NDArray[np.int8] = np.full((8, 500), 50, np.int8)
    for step in range(1, 201):
        weights, _ = one_step(weights, None, 0.05, key=update.stochastic_key(1, step, 0))
    sigma = math.sqrt(200 * 0.05 * 0.95)
    assert abs(weights.mean() - 40) < 5 * sigma / math.sqrt(weights.size)


def test_stochastic_rounding_depends_on_seed_step_layer_and_element_only() -> None:
    keys = {update.stochastic_key(*k) for k in ((1, 1, 0), (2, 1, 0), (1, 2, 0), (1, 1, 1))}
    assert len(keys) == 4
    key = update.stochastic_key(2**32 - 1, 2**31, 70)
    everything = update.stochastic_rounding(key, np.arange(100)[:, np.newaxis], np.arange(100))
    assert everything.min() >= 0
    assert everything.max() < 65536
    # Of the starts; along a row the numbers are far more even than random ones.
    assert abs(everything.mean() - 32767.5) < 5 * 65536 / math.sqrt(12 * 100)
    some = np.array([99, 17, 16, 4])
    np.testing.assert_array_equal(update.stochastic_rounding(key, 7, some), everything[7][some])

    weights = ref.random_weights(np.random.default_rng(0), (6, 3, 3, 5))
    whole, _ = one_step(weights, None, 0.3, key=key)
    geometry = Geometry.from_options((9, 9, 5), 6, (3, 3))
    inside = update.trained_taps(geometry, TapWindow(1, 3, 0, 2), depthwise=False)
    part, _ = one_step(weights, None, 0.3, key=key, trained=inside)
    np.testing.assert_array_equal(part, np.where(inside, whole, weights))
    assert (part != whole).any()


def test_structural_zeros_stay_with_a_residual() -> None:
    geometry = Geometry.from_options((9, 9, 4), 4, (3, 3))
    inside = update.trained_taps(geometry, TapWindow(0, 2, 1, 3), depthwise=True)
    weights = np.zeros((3, 3, 4), np.int8)
    after, residual = one_step(weights, weights.copy(), 1.25, trained=inside)
    assert residual is not None
    np.testing.assert_array_equal(after != 0, np.broadcast_to(inside, weights.shape))
    np.testing.assert_array_equal(residual != 0, np.broadcast_to(inside, weights.shape))


@ref.property_test
@given(ref.seeds, st.booleans(), st.floats(1e-9, 1e30))
def test_dead_channels_stay_and_nothing_leaves_its_range(
    seed: int, with_residual: bool, learning_rate: float
) -> None:
    rng = np.random.default_rng(seed)
    geometry = Geometry.from_options((6, 6, 3), 5, (3, 3))
    shape = (5, 3, 3, 3)
    before = Parameters(
        ref.random_weights(rng, shape),
        rng.integers(-(2**30), 2**30, 5).astype(np.int32),
        rng.integers(-128, 128, shape).astype(np.int8) if with_residual else None,
    )
    G = rng.integers(-127 * 255 * 16, 127 * 255 * 16, shape).astype(np.int32)
    B = rng.integers(-127 * 16, 127 * 16, 5).astype(np.int32)
    factors = update.factors(0.02, np.array([0.01, 1e-9, 0.02, 0.0, 0.01]))
    after = update_layer(
        before, G, B, factors, geometry,
        learning_rate=learning_rate, grad_scale=np.float32(0.01), depthwise=False, key=seed,
        residual_bits=8 if with_residual else 0,
    )  # fmt: skip
    assert factors.dead.tolist() == [False, True, False, True, False]
    for old, new in zip(before, after, strict=True):
        if old is not None and new is not None:
            np.testing.assert_array_equal(old[factors.dead], new[factors.dead])
    assert np.abs(after.weights.astype(np.int32)).max() <= 127
    assert after.bias is not None
    assert np.abs(after.bias.astype(np.int64)).max() <= 2**30
    assert after.weights.dtype == np.int8
    assert after.bias.dtype == np.int32


def test_no_learning_rate_no_change() -> None:
    rng = np.random.default_rng(3)
    weights = ref.random_weights(rng, (4, 1, 1, 6))
    for residual in (None, rng.integers(-128, 128, weights.shape).astype(np.int8)):
        after, residual_after = one_step(weights, residual, 0.0, key=5)
        np.testing.assert_array_equal(after, weights)
        np.testing.assert_array_equal(residual_after, residual)


@ref.property_test
@given(ref.seeds, ref.seeds, st.integers(0, 200), st.lists(st.integers(0, 2**16), min_size=1))
def test_random_numbers_are_the_pages(seed: int, step: int, layer: int, columns: list[int]) -> None:
    def mix(x: int) -> int:
        return int(hash32(x % 2**32))

    key = mix(mix(seed + step * 0x9E3779B9) ^ (layer * 0x85EBCA6B) % 2**32)
    assert update.stochastic_key(seed, step, layer) == key
    expected = [(mix(key ^ 5) + i * 0x9E37) & 0xFFFF for i in columns]
    assert update.stochastic_rounding(key, 5, np.array(columns)).tolist() == expected


def test_pairs_of_output_channels_share_random_numbers() -> None:
    rows = update.dither_rows((5, 2, 3, 4), 0)
    assert rows.shape == (5, 2, 3, 1)
    assert rows[..., 0].reshape(5, 6).tolist() == [
        [pair * 6 + tap for tap in range(6)] for pair in (0, 0, 1, 1, 2)
    ]
    assert update.dither_rows((2, 3, 4), -1).reshape(-1).tolist() == list(range(6))


@ref.property_test
@given(st.integers(-127, 127), st.integers(-128, 127), st.integers(-(2**17), 2**17))
def test_a_residual_of_eight_bits_is_exact_but_at_the_ends(w: int, r: int, delta: int) -> None:
    m = np.array([1], np.int32)  # HighMul(G << 8, -1) is -G / 2^24
    G = np.array([[[[-delta]]]], np.int64) << 24
    one: npt.NDArray[np.int8] = np.array([[[[w]]]], np.int8)
    after, residual = update.update_weights(
        one, np.full_like(one, r), G, m, 8, channel_axis=0, residual_bits=8
    )
    assert residual is not None
    t, moved = 256 * w + r + delta, 256 * int(after[0, 0, 0, 0]) + int(residual[0, 0, 0, 0])
    if -32640 <= t < 32640:
        assert moved == t
    else:
        assert moved == (32639 if t > 0 else -32640)


@pytest.mark.parametrize("bits", [8, 4, 0])
@pytest.mark.parametrize(
    ("in_c", "kernel", "side", "depthwise", "limit"),
    [
        (64, 1, 1, False, 1 / 128),  # a head
        (64, 1, 10, False, 1 / 1280),
        (16, 3, 5, False, 1 / (2 * 144 * 5)),
        (16, 3, 4, True, 1 / (2 * 9 * 4)),
        (2, 1, 1, False, 1 / 32),  # what fits is less
        (8, 3, 60, True, 2.0**-13),
    ],
)
def test_one_limit_of_steps_for_all_residuals(
    bits: int, in_c: int, kernel: int, side: int, depthwise: bool, limit: float
) -> None:
    """A unit of gradient moves a weight by so much at most, whatever the learning rate."""
    g = Geometry.from_options((side,) * 2 + (in_c,), in_c, (kernel,) * 2, padding="SAME")
    shift = update.gain_shift(g.positions)
    unit = 2.0 ** -(update._FRACTION_BITS[bits] + 32 - shift)
    most = update.step_limit(g, depthwise, shift, bits)
    kw = np.array([0.0, 1e-9, 1.0], np.float32)
    for rate in (1e30, 3e38, 1.0):
        m = update.multipliers(rate, np.float32(1), kw, shift, bits, most)
        assert m[0] == 0 and m[2] * unit == pytest.approx(limit, rel=1e-4)
        assert m[2] * unit <= limit == pytest.approx(factor_limit(g, depthwise))
    below = update.multipliers(1.0, np.float32(1), kw * np.float32(1e-4), shift, bits, most)
    assert below[2] * unit == pytest.approx(1e-4, rel=1e-4)


@pytest.mark.parametrize("rate", [1e-45, 1e-38, 1e-30])
def test_rates_of_no_step_at_all(rate: float) -> None:
    kw = np.array([1e-3, 1.0], np.float32)
    for bits in (8, 4, 0):
        assert not update.multipliers(rate, np.float32(1), kw, 8, bits, INT32_MAX).any()
