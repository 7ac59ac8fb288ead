"""Integer and single-precision primitives that every training operator is built from.

This module is the numpy reference of docs/NUMERICS.md, sections 1 and 2; the C++ kernels in
`tflm_kernels/` implement the same page and must agree bit for bit. Floats are `np.float32`
throughout: one IEEE operation per rounding, in the order the page writes them, never fused.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from tflm_train.ops.constants import MaskKind

Int8Array = npt.NDArray[np.int8]
Int32Array = npt.NDArray[np.int32]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.signedinteger[Any]]

LN2 = np.float32(0.69314718)
"""Natural logarithm of 2, as the kernels round it."""

LOG2_E = np.float32(1.44269504)
"""Binary logarithm of e, as the kernels round it."""

RANGE_DECAY = np.float32(0.95)
"""How fast the running range of a gradient tensor forgets an old maximum, per step."""

INT32_MAX = 2**31 - 1

_T = TypeVar("_T", bound=np.generic)
_ONE = np.float32(1)
_LARGEST_FLOAT_IN_INT32 = np.float32(2147483520)
_MAX_PREDICTED_EXPONENT = 24
_MAX_ADDEND_SHIFT = 31
_MAX_ADDEND_FACTOR = 1 << 24
# The exponents that there are; the last covers every int32.
_EXPONENTS = np.arange(26, dtype=np.int64)
_LIMITS = np.int64(127) << _EXPONENTS
# What a prediction may reach: gradients vary from step to step, and an overflow costs time.
_PREDICTED_LIMITS = np.int64(112) << _EXPONENTS
_Q_MIN, _Q_MAX = -127, 126


class QuantizedGradient(NamedTuple):
    """A gradient tensor: `dL/dy = scale * q`.

    Attributes:
      q: int8, never -128, zero point 0.
      scale: float32; 0 when the loss gradient vanished.
    """

    q: Int8Array
    scale: np.float32


class Requantized(NamedTuple):
    """A gradient tensor fresh from the streamed requantiser.

    Attributes:
      q: int8, the accumulator's shape.
      scale: float32, loss units per step of `q`.
      range_: float32, the slot's new running ratio of largest output to largest input.
    """

    q: Int8Array
    scale: np.float32
    range_: np.float32

    @property
    def gradient(self) -> QuantizedGradient:
        """The tensor without the range."""
        return QuantizedGradient(self.q, self.scale)


@dataclass(frozen=True)
class Mask:
    """Where a gradient passes a fused activation.

    Attributes:
      kind: What `data` is.
      data: `ACTIVATION`: the int8 activation; `BITS`: uint8, bit `i & 7` of byte `i >> 3` is 1
        where element `i` passes.
      act_min: Lower end of the quantised clamp range (`ACTIVATION` only).
      act_max: Upper end of the quantised clamp range (`ACTIVATION` only).
    """

    kind: MaskKind
    data: npt.NDArray[Any]
    act_min: int = -128
    act_max: int = 127

    def passes(self, size: int) -> BoolArray:
        """Returns bool `[size]`, true where the gradient passes."""
        flat = self.data.reshape(-1)
        if self.kind == MaskKind.ACTIVATION:
            return (flat > self.act_min) & (flat < self.act_max)
        if self.kind == MaskKind.BITS:
            return np.unpackbits(flat, count=size, bitorder="little").astype(np.bool_)
        return np.ones(size, np.bool_)


def round_shift(a: npt.ArrayLike, n: npt.ArrayLike) -> Int32Array:
    """`a / 2^n`, rounded half up.

    Args:
      a: int32 or int64 values, any shape.
      n: Shift, which leaves int32; a scalar or an array that broadcasts against `a`.

    Returns:
      int32, the broadcast shape.
    """
    a = np.asarray(a, np.int64)
    n = np.asarray(n, np.int64)
    half = (np.int64(1) << n) >> 1
    return np.asarray((a + half) >> n).astype(np.int32)


def round_away(a: npt.ArrayLike, n: npt.ArrayLike) -> Int32Array:
    """`a / 2^n`, rounded half away from zero; `n` is at least 1.

    Where many small numbers lose a bit, rounding half up would give them another mean.
    """
    a = np.asarray(a, np.int64)
    return round_shift(a + (a >> 63), n)


def high_mul(a: npt.ArrayLike, b: npt.ArrayLike) -> Int32Array:
    """Upper half of the 64-bit product of two int32, rounded half up (SMMULR, VRMULH.S32)."""
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    return np.asarray((product + (1 << 31)) >> 32).astype(np.int32)


def round_to_int32(x: npt.ArrayLike) -> Int32Array:
    """Float to int32, half away from zero, saturating at +-(2^31 - 1); NaN gives 0."""
    x = np.asarray(x, np.float32)
    x = np.where(np.isnan(x), np.float32(0), x)
    inside = np.clip(x, -_LARGEST_FLOAT_IN_INT32, _LARGEST_FLOAT_IN_INT32)
    whole = np.trunc(inside)
    fraction = inside - whole
    rounded = whole.astype(np.int64) + (fraction >= 0.5) - (fraction <= -0.5)
    rounded = np.where(x >= _LARGEST_FLOAT_IN_INT32, INT32_MAX, rounded)
    rounded = np.where(x <= -_LARGEST_FLOAT_IN_INT32, -INT32_MAX, rounded)
    return rounded.astype(np.int32)


def exp2_neg(t: npt.ArrayLike) -> Float32Array:
    """`2^-t` for `t >= 0`: seven Taylor terms of `exp(-z)`, absolute error below 1.5e-6."""
    t = np.asarray(t, np.float32)
    small = np.asarray(t < 125)
    t = np.where(small, t, np.float32(0))
    whole = np.trunc(t)
    z = (t - whole) * LN2
    r = np.ones_like(t)
    for k in range(7, 0, -1):
        r = _ONE - (z * (_ONE / np.float32(k))) * r
    return np.where(small, np.ldexp(r, -whole.astype(np.int32)), np.float32(0))


def log(x: npt.ArrayLike) -> Float32Array:
    """Natural logarithm of a normal `x >= 1`, by the series `2 artanh((m - 1) / (m + 1))`."""
    mantissa, exponent = np.frexp(np.asarray(x, np.float32))
    mantissa = mantissa * np.float32(2)
    exponent = exponent - 1
    u = (mantissa - _ONE) / (mantissa + _ONE)
    w = u * u
    p = np.full_like(u, _ONE / np.float32(11))
    for k in (9, 7, 5, 3, 1):
        p = p * w + _ONE / np.float32(k)
    result = exponent.astype(np.float32) * LN2 + (np.float32(2) * u) * p
    return np.asarray(result, np.float32)


def hash32(x: npt.ArrayLike) -> npt.NDArray[np.uint32]:
    """The lowbias32 integer hash (Chris Wellons, "Prospecting for Hash Functions"), on uint32."""
    low = np.uint64(0xFFFFFFFF)
    h = np.asarray(x).astype(np.uint64) & low
    h = h ^ (h >> np.uint64(16))
    h = (h * np.uint64(0x7FEB352D)) & low
    h = h ^ (h >> np.uint64(15))
    h = (h * np.uint64(0x846CA68B)) & low
    h = h ^ (h >> np.uint64(16))
    return np.asarray(h).astype(np.uint32)


def sqrt32(x: int) -> int:
    """The integer square root of a uint32, rounded down."""
    return math.isqrt(x)


Activation = Literal["NONE", "RELU", "RELU_N1_TO_1", "RELU6"]
"""The fused activations that have a gradient."""


def activation_range(
    activation: Activation, scale: float, zero_point: int
) -> tuple[int, int] | None:
    """The quantised clamp range `(act_min, act_max)` of a fused activation, None without one.

    Args:
      activation: The operator's fused activation.
      scale: Scale of the operator's int8 output.
      zero_point: Zero point of the operator's int8 output.
    """
    if activation == "NONE":
        return None

    # In single precision, as TFLite computes its clamp.
    def steps(value: int) -> int:
        return int(round_to_int32(np.float32(value) / np.float32(scale)))

    act_min, act_max = zero_point, 127
    if activation == "RELU6":
        act_max = min(127, zero_point + steps(6))
    if activation == "RELU_N1_TO_1":
        act_min, act_max = zero_point + steps(-1), min(127, zero_point + steps(1))
    return max(-128, act_min), max(-128, act_max)


def clamp_mask(activation: Int8Array, act_min: int, act_max: int) -> npt.NDArray[np.uint8]:
    """CLAMP_MASK: one bit per element, least significant first, 1 where `act_min < y < act_max`.

    Returns:
      uint8 `[ceil(size / 8)]`; bits past the end are 0.
    """
    mask = Mask(MaskKind.ACTIVATION, activation, act_min, act_max)
    return np.packbits(mask.passes(activation.size), bitorder="little")


def apply_mask(values: npt.NDArray[_T], mask: Mask | None) -> npt.NDArray[_T]:
    """`values` with zeros where `mask` stops the gradient (`None`: unchanged)."""
    if mask is None or mask.kind == MaskKind.NONE:
        return values
    passes = mask.passes(values.size).reshape(values.shape)
    return np.where(passes, values, np.zeros((), values.dtype))


def max_abs(values: npt.NDArray[Any]) -> int:
    """Largest magnitude of an integer array, 0 if it is empty."""
    return int(np.abs(values.astype(np.int64)).max(initial=0))


def exponent_for(amax: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The smallest `e >= 0` with `amax <= 127 * 2^e`, elementwise."""
    return np.asarray(np.searchsorted(_LIMITS, np.asarray(amax, np.int64)), np.int64)


def predicted_exponent(range_: np.float32, qmax_in: int) -> int:
    """The exponent that a gradient tensor starts with.

    Args:
      range_: The slot's running ratio of largest accumulator to `qmax_in`.
      qmax_in: Largest `|q|` of the incoming gradient.
    """
    predicted = np.float32(range_) * np.float32(qmax_in)
    exponent = np.searchsorted(_PREDICTED_LIMITS.astype(np.float32), predicted)
    return min(int(exponent), _MAX_PREDICTED_EXPONENT)


def _addend_factor(addend_scale: np.float32, unit: np.float32) -> tuple[int, int]:
    """The accumulator's shift `n` and the multiplier `F` that bring an addend to its unit."""
    with np.errstate(over="ignore"):
        ratio = np.float32(addend_scale) / unit
    n = 1
    while n < _MAX_ADDEND_SHIFT and ratio * np.float32(2.0**-n) > np.float32(65536):
        n += 1
    factor = round_to_int32((ratio * np.float32(2.0**-n)) * np.float32(256))
    return n, min(int(factor), _MAX_ADDEND_FACTOR)


def _needed_exponents(pixels: npt.NDArray[np.int64], fraction_bits: int) -> npt.NDArray[np.int64]:
    """The smallest exponent of each pixel with every value in range once rounded."""
    highest, lowest = pixels.max(axis=1)[:, np.newaxis], pixels.min(axis=1)[:, np.newaxis]
    shifts = _EXPONENTS + fraction_bits
    fits = (round_shift(highest, shifts) <= _Q_MAX) & (round_shift(lowest, shifts) >= _Q_MIN)
    return np.asarray(np.argmax(fits, axis=1), np.int64)


def requantize_stream(
    acc: IntArray,
    mask: Mask | None,
    unit: np.float32,
    range_: np.float32,
    qmax_in: int,
    addend: QuantizedGradient | None = None,
    fraction_bits: int = 0,
) -> Requantized:
    """Quantises an accumulator to int8 in one pass over its pixels, without ever saturating.

    The exponent is predicted from the running range; a pixel that overflows it halves what is
    already written as often as needed. A value may therefore be rounded more than once, but is
    never off by a whole step of the final scale.

    Args:
      acc: int32 `[..., channels]`; the last axis is the pixel, the unit of work. With fraction
        bits, int64.
      mask: Clamp mask of the tensor whose gradient this is.
      unit: Loss units per 1 in the sums, without their fraction bits.
      range_: The slot's running ratio of largest `|acc|` to `qmax_in`.
      qmax_in: Largest `|q|` of the incoming gradient.
      addend: A second gradient of the same tensor, added before quantising; `q` as large as `acc`.
      fraction_bits: Bits of `acc` below 1. The rounding of the result is the only one, with an
        addend they are rounded off first.

    Returns:
      The int8 gradient in the shape of `acc`, its scale and the slot's new range.
    """
    unit = np.float32(unit)
    range_ = np.float32(range_)
    if unit == 0 or qmax_in == 0:
        if addend is None:
            return Requantized(np.zeros(acc.shape, np.int8), np.float32(0), range_)
        q_a = apply_mask(addend.q.reshape(acc.shape), mask)
        return Requantized(q_a, np.float32(addend.scale), range_)

    total = acc.astype(np.int64)
    if addend is not None:
        total = round_shift(total, fraction_bits).astype(np.int64)
        fraction_bits = 0
        n, factor = _addend_factor(addend.scale, unit)
        scaled = addend.q.reshape(acc.shape).astype(np.int64) * factor
        total = round_shift(total, n).astype(np.int64) + round_shift(scaled, 8)
        unit = unit * np.float32(2.0**n)
    pixels = apply_mask(total, mask).reshape(-1, acc.shape[-1])

    # The exponent in force only ever grows: the stream is a running maximum and a few corrections.
    predicted = predicted_exponent(range_, qmax_in)
    exponents = np.maximum.accumulate(
        np.maximum(_needed_exponents(pixels, fraction_bits), predicted)
    )
    q = round_shift(pixels, exponents[:, np.newaxis] + fraction_bits)
    for last in np.flatnonzero(np.diff(exponents)):
        written = slice(0, int(last) + 1)
        q[written] = round_away(q[written], exponents[last + 1] - exponents[last])

    step = np.float32(2.0 ** (int(exponents[-1])))
    ratio = (np.float32(max_abs(q)) * step) / np.float32(qmax_in)
    new_range = np.maximum(ratio, range_ * RANGE_DECAY)
    scale = unit * step
    return Requantized(q.astype(np.int8).reshape(acc.shape), scale, new_range)


def bias_gradient(q: Int8Array) -> Int32Array:
    """`B = sum over output positions q`: int8 `[..., channels]` to int32 `[channels]`."""
    sums: Int32Array = q.reshape(-1, q.shape[-1]).sum(axis=0, dtype=np.int32)
    return sums
