import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.backward_ops.float_reference import dequantize, property_test, seeds
from tflm_train.backward_ops import numerics
from tflm_train.backward_ops.accumulate import accumulate
from tflm_train.backward_ops.numerics import Mask, QuantizedGradient
from tflm_train.ops.constants import MaskKind

int32s = st.integers(-(2**31), 2**31 - 1)
int32_lists = st.lists(int32s, min_size=1, max_size=30)
any_float = st.floats(width=32)


def half_away(x: Fraction) -> int:
    magnitude = math.floor(abs(x) + Fraction(1, 2))
    return magnitude if x >= 0 else -magnitude


def half_up(x: Fraction) -> int:
    return math.floor(x + Fraction(1, 2))


@property_test
@given(int32_lists, st.integers(0, 31))
def test_round_shift_rounds_half_up(values: list[int], n: int) -> None:
    expected = [half_up(Fraction(v, 2**n)) for v in values]
    result = numerics.round_shift(np.array(values), n)
    assert result.dtype == np.int32
    assert result.tolist() == expected


@property_test
@given(int32_lists, st.integers(1, 31))
def test_round_away_rounds_half_away_from_zero(values: list[int], n: int) -> None:
    expected = [half_away(Fraction(v, 2**n)) for v in values]
    assert numerics.round_away(np.array(values), n).tolist() == expected


@property_test
@given(int32_lists, int32s)
def test_high_mul_rounds_half_up(values: list[int], b: int) -> None:
    expected = [math.floor(Fraction(v * b, 2**32) + Fraction(1, 2)) for v in values]
    assert numerics.high_mul(np.array(values), b).tolist() == expected


@property_test
@given(any_float | st.integers(-(2**25), 2**25).map(lambda i: i / 2))
def test_round_to_int32(x: float) -> None:
    result = int(numerics.round_to_int32(np.float32(x)))
    if math.isnan(x):
        assert result == 0
    elif abs(x) >= 2147483520:
        assert result == math.copysign(2**31 - 1, x)
    else:
        assert result == half_away(Fraction(float(np.float32(x))))


@property_test
@given(st.lists(st.floats(0, 200, width=32), min_size=1, max_size=50))
def test_exp2_neg(t: list[float]) -> None:
    result = numerics.exp2_neg(np.array(t, np.float32))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, np.exp2(-np.array(t)), rtol=0, atol=1.5e-6)


def test_exp2_neg_at_whole_numbers_is_exact_and_then_zero() -> None:
    t = np.arange(130, dtype=np.float32)
    expected = np.where(t < 125, np.exp2(-t.astype(np.float64)), 0)
    np.testing.assert_array_equal(numerics.exp2_neg(t), expected)


@property_test
@given(st.lists(st.floats(1, float(np.float32(3e38)), width=32), min_size=1, max_size=50))
def test_log(x: list[float]) -> None:
    result = numerics.log(np.array(x, np.float32))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, np.log(x), rtol=1e-6, atol=1e-6)


def lowbias32(x: int) -> int:
    x ^= x >> 16
    x = x * 0x7FEB352D % 2**32
    x ^= x >> 15
    x = x * 0x846CA68B % 2**32
    return x ^ x >> 16


@property_test
@given(st.lists(st.integers(0, 2**32 - 1), min_size=1))
def test_hash_is_lowbias32(values: list[int]) -> None:
    result = numerics.hash32(np.array(values, np.uint32))
    assert result.dtype == np.uint32
    assert result.tolist() == [lowbias32(v) for v in values]


@pytest.mark.parametrize(
    ("activation", "scale", "zero_point", "expected"),
    [
        ("NONE", 0.1, 3, None),
        ("RELU", 0.1, -128, (-128, 127)),
        ("RELU", 0.1, 5, (5, 127)),
        ("RELU6", 6 / 255, -128, (-128, 127)),
        ("RELU6", 0.1, -128, (-128, -68)),
        ("RELU6", 0.01, -128, (-128, 127)),
    ],
)
def test_activation_range(
    activation: str, scale: float, zero_point: int, expected: tuple[int, int] | None
) -> None:
    assert numerics.activation_range(activation, scale, zero_point) == expected  # type: ignore[arg-type]


@property_test
@given(seeds, st.integers(1, 40))
def test_both_mask_kinds_stop_the_clamped_elements(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.integers(-128, 128, size).astype(np.int8)
    y[::3] = -20
    y[1::3] = 50
    values = rng.integers(-(2**31), 2**31, size).astype(np.int32)
    bits = numerics.clamp_mask(y, -20, 50)
    assert bits.size == (size + 7) // 8
    assert np.unpackbits(bits, bitorder="little")[size:].sum() == 0
    expected = [v if -20 < a < 50 else 0 for v, a in zip(values.tolist(), y.tolist(), strict=True)]
    for mask in (Mask(MaskKind.ACTIVATION, y, -20, 50), Mask(MaskKind.BITS, bits)):
        result = numerics.apply_mask(values, mask)
        assert result.dtype == np.int32
        assert result.tolist() == expected


def stream(
    pixels: list[list[int]], unit: np.float32, range_: np.float32, qmax_in: int
) -> tuple[list[list[int]], float, float]:
    """Section 2 of the numerics page, word by word."""
    predicted = range_ * np.float32(qmax_in)
    e = 0
    while e < 24 and not predicted <= np.float32(112 * 2**e):
        e += 1
    written: list[list[int]] = []
    for pixel in pixels:
        d = 0
        while not all(-127 <= half_up(Fraction(v, 2 ** (e + d))) <= 126 for v in pixel):
            d += 1
        written = [[half_away(Fraction(v, 2**d)) for v in p] for p in written]
        e += d
        written.append([half_up(Fraction(v, 2**e)) for v in pixel])
    amax = max(abs(v) for p in written for v in p) * 2**e
    ratio = np.float32(amax) / np.float32(qmax_in)
    return written, unit * np.float32(2**e), max(ratio, range_ * np.float32(0.95))


@st.composite
def accumulators(draw: st.DrawFn) -> np.ndarray:
    """[pixels, channels] whose magnitude grows, falls or jumps on the way, up to all of int32."""
    pixels, channels = draw(st.integers(1, 12)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(seeds))
    bits = rng.integers(1, 32, (pixels, 1))
    if draw(st.booleans()):
        bits = np.sort(bits, axis=0)
    return (rng.uniform(-1, 1, (pixels, channels)) * 2.0**bits).astype(np.int64).astype(np.int32)


units = st.floats(2.0**-40, 1.0, width=32).map(np.float32)
ranges = st.just(np.float32(0)) | st.floats(0.0, 2.0**25, width=32).map(np.float32)


@property_test
@given(accumulators(), units, ranges, st.integers(1, 127))
def test_requantiser_follows_the_page_and_never_saturates(
    acc: np.ndarray, unit: np.float32, range_: np.float32, qmax_in: int
) -> None:
    result = numerics.requantize_stream(acc, None, unit, range_, qmax_in)
    q, scale, new_range = stream(acc.tolist(), unit, range_, qmax_in)
    assert result.q.tolist() == q
    assert (result.scale, result.range_) == (scale, new_range)
    assert {result.scale.dtype, result.range_.dtype} == {np.dtype(np.float32)}
    # At most one step of the final scale, although a value may be rounded several times.
    step = float(result.scale) / float(unit)
    assert np.abs(result.q).max() <= 127
    assert np.abs(result.q * step - acc).max() <= step


@property_test
@given(accumulators(), seeds)
def test_requantiser_masks_before_it_looks_for_the_maximum(acc: np.ndarray, seed: int) -> None:
    y = np.random.default_rng(seed).integers(-2, 3, acc.shape).astype(np.int8)
    mask = Mask(MaskKind.ACTIVATION, y, -1, 1)
    arguments = (np.float32(1), np.float32(0), 100)
    masked = numerics.requantize_stream(acc, mask, *arguments)
    expected = numerics.requantize_stream(np.where(y == 0, acc, 0), None, *arguments)
    np.testing.assert_array_equal(masked.q, expected.q)
    assert masked[1:] == expected[1:]


@property_test
@given(accumulators(), seeds, units, st.floats(-30, 30))
def test_addend_is_added_before_quantising(
    acc: np.ndarray, seed: int, unit: np.float32, log2_ratio: float
) -> None:
    q_a = np.random.default_rng(seed).integers(-127, 128, acc.shape).astype(np.int8)
    addend = QuantizedGradient(q_a, unit * np.float32(2.0**log2_ratio))
    result = numerics.requantize_stream(acc, None, unit, np.float32(0), 127, addend)
    total = float(unit) * acc + dequantize(addend)
    # Halving the accumulator (at least) and the 8 fractional bits of the factor come on top.
    n = max(1, math.ceil(log2_ratio - 16))
    slack = 1.5 * float(unit) * 2.0**n
    assert np.abs(dequantize(result.gradient) - total).max() <= float(result.scale) + slack
    assert np.abs(result.q).max() <= 127


def test_a_vanished_gradient() -> None:
    acc = np.ones((2, 3), np.int32)
    half = np.float32(0.5)
    q_a = np.array([[1, -2, 3], [4, 5, 6]], np.int8)
    mask = Mask(MaskKind.ACTIVATION, np.array([[0, 9, 0], [0, 0, 0]], np.int8), -5, 5)
    for unit, qmax_in in ((np.float32(0), 5), (np.float32(1), 0)):
        alone = numerics.requantize_stream(acc, mask, unit, half, qmax_in)
        assert not alone.q.any()
        assert alone[1:] == (0, half)
        addend = QuantizedGradient(q_a, np.float32(0.25))
        both = numerics.requantize_stream(acc, mask, unit, half, qmax_in, addend)
        assert both.q.tolist() == [[1, 0, 3], [4, 5, 6]]
        assert both[1:] == (0.25, half)


@property_test
@given(seeds, st.integers(1, 4))
def test_accumulate_sums_real_values(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [
        QuantizedGradient(
            rng.integers(-127, 128, (3, 4, 5)).astype(np.int8),
            np.float32(np.exp(rng.uniform(-9, -3))),
        )
        for _ in range(count)
    ]
    y = rng.integers(-2, 3, (3, 4, 5)).astype(np.int8)
    mask = Mask(MaskKind.ACTIVATION, y, -2, 2)
    total = np.where(np.abs(y) < 2, sum(dequantize(p) for p in parts), 0)
    result = accumulate(parts, mask)
    assert np.abs(result.q).max() <= 127
    # Half a step, and the 14 bits of the factors.
    assert np.abs(dequantize(result) - total).max() <= 0.52 * float(result.scale)


def test_accumulate_of_nothing() -> None:
    zero = QuantizedGradient(np.zeros(4, np.int8), np.float32(0))
    q, scale = accumulate([zero, zero])
    assert not q.any()
    assert scale == 0
