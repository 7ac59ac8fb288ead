"""The parameter update: SGD in real weight space, carried out on int8 weights and int32 biases.

A weight is `w = s_W[c] * W`, its gradient `dL/dw = s_g * s_x * G` with an exact integer `G`. A step
of plain SGD, `w -= lr * dL/dw`, is therefore

    W -= lr * s_g * (s_x / s_W[c]) * G
    b -= lr * s_g / (s_x * s_W[c]) * B

one factor per output channel. This is what quantization-aware scaling does (Lin et al., "On-Device
Training Under 256KB Memory", NeurIPS 2022: the gradient of `W` times `s_W^-2`, of `b` times
`(s_x s_W)^-2`); without it, an ablation, the factors lack those powers. Bits below one step of `W`
are kept in an int8 residual, or rounded stochastically.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tflm_train.backward_ops.numerics import (
    INT32_MAX,
    BoolArray,
    Float32Array,
    Int8Array,
    Int32Array,
    hash32,
    high_mul,
    round_to_int32,
)
from tflm_train.errors import UnsupportedError
from tflm_train.ops.constants import MAX_GAIN_SHIFT
from tflm_train.ops.geometry import Geometry, TapWindow

DEAD_CHANNEL_RATIO = 1e-5
"""A channel whose scale is below this share of the layer's median never mattered, and is frozen."""

MAX_BIAS = 1 << 30
"""Largest magnitude a trained bias may reach: headroom for the int32 accumulator it is added to."""

_FRACTION_BITS = {8: 8, 4: 16, 0: 16}
_MAX_MULTIPLIER = {8: 1 << 23, 4: INT32_MAX, 0: INT32_MAX}
"""What fits: 2^(gain_shift - 17) of a weight's step for each unit of `G`."""
_DITHER_STEP = 0x9E37  # 2^16 over the golden ratio
_SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)


class Factors(NamedTuple):
    """Per-channel constants of an update.

    Attributes:
      kw: float32 `[out_c]`, weight steps per unit of `learning rate * s_g * G`; 0 if dead.
      kb: float32 `[out_c]`, bias steps per unit of `learning rate * s_g * B`; 0 if dead.
      dead: bool `[out_c]`, the frozen channels.
    """

    kw: Float32Array
    kb: Float32Array
    dead: BoolArray


def factors(input_scale: float, weight_scales: npt.ArrayLike, qas: bool = True) -> Factors:
    """Update factors of a layer, computed in double precision and rounded once.

    Args:
      input_scale: Scale of the layer's int8 input.
      weight_scales: float32 `[out_c]`.
      qas: False leaves the gradients in quantised units (ablation).
    """
    s_w = np.asarray(weight_scales, np.float32).astype(np.float64).reshape(-1)
    s_x = float(np.float32(input_scale))
    normal = np.isfinite(s_w) & (s_w >= _SMALLEST_NORMAL)
    median = float(np.median(s_w[normal])) if normal.any() else 0.0
    alive = normal & (s_w >= DEAD_CHANNEL_RATIO * median)
    s_w = np.where(alive, s_w, 1.0)
    kw = s_x / s_w
    kb = 1.0 / (s_x * s_w)
    if not qas:
        kw = kw * s_w**2
        kb = kb * (s_x * s_w) ** 2
    return Factors(
        np.where(alive, kw, 0.0).astype(np.float32),
        np.where(alive, kb, 0.0).astype(np.float32),
        ~alive,
    )


def gain_shift(positions: int) -> int:
    """How far `G` of a layer is shifted left within an int32.

    Args:
      positions: Output height times width.

    Raises:
      UnsupportedError: the output has so many positions that `G` itself may not fit.
    """
    largest = 127 * 255 * positions
    if largest > INT32_MAX:
        raise UnsupportedError(
            f"a layer with {positions} output positions (more than {INT32_MAX // (127 * 255)}): "
            "its weight gradient does not fit an int32; train its bias only"
        )
    return min(MAX_GAIN_SHIFT, (INT32_MAX // largest).bit_length() - 1)


def step_limit(
    geometry: Geometry,
    depthwise: bool,
    shift: int,
    residual_bits: int,
    row_channels: int | None = None,
) -> int:
    """The largest integer factor of a layer.

    The factor `f` of a unit of `G` is at most `1 / (2 * fan_in * sqrt(positions))` weight steps. A
    unit of `G` moves all the `fan_in` weights that meet in an output, and gradients of many
    positions, of either sign, add up to about the root of their number: so the step of an output
    has one bound in all layers, and a rate that is far too large for a layer does not throw its
    weights from one end of their range to the other.

    Args:
      geometry: The layer's.
      depthwise: Whether a weight meets only those of its own channel.
      shift: The layer's `gain_shift`.
      residual_bits: 8, 4 or 0.
      row_channels: Input channels of the whole layer, where just some of them train: its limit is
        that of the layer trained whole.

    Returns:
      `floor(f * 2^(F + 32 - shift))` with the root rounded down; at least 1, and at most what fits.
    """
    g = geometry
    fan_in = g.k_h * g.k_w * (1 if depthwise else row_channels or g.in_c)
    half = 1 << (_FRACTION_BITS[residual_bits] + 31 - shift)
    limit = half // (fan_in * math.isqrt(g.summed_positions))
    return max(1, min(limit, _MAX_MULTIPLIER[residual_bits]))


def multipliers(
    learning_rate: float | np.float32,
    grad_scale: np.float32,
    kw: Float32Array,
    shift: int,
    residual_bits: int,
    limit: int,
) -> Int32Array:
    """The integer factor of each output channel for one step.

    Args:
      learning_rate: In real units, as in float training.
      grad_scale: Scale of the layer's output gradient.
      kw: float32 `[out_c]`.
      shift: The layer's `gain_shift`.
      residual_bits: 8, 4 or 0.
      limit: The layer's `step_limit`.

    Returns:
      int32 `[out_c]`.
    """
    base = np.float32(learning_rate) * np.float32(grad_scale)
    gain = np.float32(2.0 ** (_FRACTION_BITS[residual_bits] + 32 - shift))
    with np.errstate(over="ignore", invalid="ignore"):
        return np.minimum(round_to_int32((base * kw) * gain), np.int32(limit))


def stochastic_key(seed: int, step: int, layer: int) -> int:
    """The key of one layer's random numbers in one step (uint32; the first step is 1)."""
    mixed = (seed + step * 0x9E3779B9) & 0xFFFFFFFF
    return int(hash32(int(hash32(mixed)) ^ ((layer * 0x85EBCA6B) & 0xFFFFFFFF)))


def stochastic_rounding(key: int, rows: npt.ArrayLike, columns: npt.ArrayLike) -> Int32Array:
    """Random numbers in `[0, 65536)`.

    Along a row they are a Weyl sequence: multiples of the golden ratio from a random start. Each is
    uniform by itself, so that rounding with it is unbiased, and neighbours are spread evenly.

    Args:
      key: From `stochastic_key`.
      rows: Which row of random numbers each element uses, from `dither_rows`.
      columns: Each element's place in the last dimension of the layer's whole weights.

    Returns:
      int32, the two arrays broadcast against each other.
    """
    start = hash32(np.int64(key) ^ np.asarray(rows, np.int64)).astype(np.int64)
    step = np.asarray(columns, np.int64) * _DITHER_STEP
    return ((start + step) & 0xFFFF).astype(np.int32)


def dither_rows(shape: tuple[int, ...], channel_axis: int) -> npt.NDArray[np.int64]:
    """The rows of random numbers of a layer's weights; pairs of output channels share theirs.

    Args:
      shape: Of the weights, `[out_c, k_h, k_w, in_c]` or, depthwise, `[k_h, k_w, out_c]`.
      channel_axis: The axis of the output channel.

    Returns:
      int64 in that shape, of 1 in the last dimension.
    """
    if channel_axis != 0:
        return np.arange(int(np.prod(shape[:-1]))).reshape(*shape[:-1], 1)
    taps = int(np.prod(shape[1:-1]))
    rows = np.arange(shape[0])[:, np.newaxis] // 2 * taps + np.arange(taps)
    return rows.reshape(*shape[:-1], 1)


def update_weights(
    weights: Int8Array,
    residual: Int8Array | None,
    gradient: Int32Array,
    m: Int32Array,
    shift: int,
    *,
    channel_axis: int,
    residual_bits: int,
    key: int = 0,
    columns: npt.NDArray[np.integer] | None = None,
    trained: BoolArray | None = None,
) -> tuple[Int8Array, Int8Array | None]:
    """One step of a layer's weights.

    Args:
      weights: int8, `[out_c, k_h, k_w, in_c]` or, depthwise, `[k_h, k_w, out_c]`.
      residual: int8 in that shape (4 bits: values -8 to 7, not packed); None with 0 bits.
      gradient: `G`, int32 in that shape.
      m: int32 `[out_c]`, from `multipliers` with the matching number of residual bits.
      shift: The layer's `gain_shift`.
      channel_axis: The axis of `weights` that is the output channel: 0, or -1.
      residual_bits: 8 rounds to nearest; 4 and 0 round stochastically.
      key: From `stochastic_key`; unused with 8 bits.
      columns: Where the last dimension's elements stand in the layer's whole weights; None when
        `weights` is the whole.
      trained: bool, broadcasts against `weights`; False elements stay.

    Returns:
      New weights and residual (None if there was none).
    """
    along_channels = [1] * weights.ndim
    along_channels[channel_axis] = -1
    factor = -m.astype(np.int64).reshape(along_channels)
    delta = high_mul(gradient.astype(np.int64) << shift, factor).astype(np.int64)
    moves = np.asarray(True) if trained is None else trained
    w = weights.astype(np.int64)
    if residual_bits == 8:
        assert residual is not None
        t = (256 * w + residual + 128 + delta).clip(-127 * 256, 32767)
        return _keep_unmoved(moves, t >> 8, w), _keep_unmoved(moves, (t & 255) - 128, residual)
    if columns is None:
        columns = np.arange(weights.shape[-1])
    rnd = stochastic_rounding(key, dither_rows(weights.shape, channel_axis), columns)
    t = 65536 * w + delta
    if residual_bits == 0:
        return _keep_unmoved(moves, ((t + rnd) >> 16).clip(-127, 127), w), None
    assert residual is not None
    sixteenths = ((t + 4096 * residual.astype(np.int64) + (rnd >> 4)) >> 12).clip(-2032, 2032)
    new = (sixteenths + 8) >> 4
    return _keep_unmoved(moves, new, w), _keep_unmoved(moves, sixteenths - 16 * new, residual)


def pack_nibbles(values: Int8Array) -> npt.NDArray[np.uint8]:
    """4-bit residuals as they lie in memory: two to a byte, the even element in the low nibble."""
    nibbles = np.zeros(values.size + values.size % 2, np.uint8)
    nibbles[: values.size] = values.reshape(-1).astype(np.uint8) & 0xF
    return (nibbles[0::2] | nibbles[1::2] << 4).astype(np.uint8)


def unpack_nibbles(packed: npt.NDArray[np.uint8], size: int) -> Int8Array:
    """The inverse of `pack_nibbles`: int8 `[size]`."""
    nibbles = np.stack([packed & 0xF, packed >> 4], axis=-1).reshape(-1)[:size]
    return ((nibbles ^ 8).astype(np.int8) - np.int8(8)).astype(np.int8)


def pack_residual(values: Int8Array, residual_bits: int) -> npt.NDArray[np.uint8]:
    """Residuals as their tensor holds them: bytes in two's complement, or `pack_nibbles`."""
    return pack_nibbles(values) if residual_bits == 4 else values.view(np.uint8)


def unpack_residual(packed: npt.NDArray[np.uint8], residual_bits: int, size: int) -> Int8Array:
    """The inverse of `pack_residual`: int8 `[size]`."""
    flat = packed.reshape(-1)
    return unpack_nibbles(flat, size) if residual_bits == 4 else flat.view(np.int8)


def _keep_unmoved(
    moves: BoolArray, new: npt.NDArray[np.int64], old: npt.NDArray[np.integer]
) -> Int8Array:
    return np.where(moves, new, old).astype(np.int8)


def update_bias(
    bias: Int32Array,
    gradient: Int32Array,
    kb: Float32Array,
    learning_rate: float | np.float32,
    grad_scale: np.float32,
) -> Int32Array:
    """One step of a layer's bias.

    Args:
      bias: int32 `[out_c]`.
      gradient: `B`, int32 `[out_c]`.
      kb: float32 `[out_c]`.
      learning_rate: In real units.
      grad_scale: Scale of the layer's output gradient.

    Returns:
      int32 `[out_c]`.
    """
    base = np.float32(learning_rate) * np.float32(grad_scale)
    with np.errstate(over="ignore", invalid="ignore"):
        d = round_to_int32(gradient.astype(np.float32) * (base * kb)).astype(np.int64)
    moved = (bias.astype(np.int64) - d).clip(-MAX_BIAS, MAX_BIAS)
    return np.where(d != 0, moved, bias).astype(np.int32)


def trained_taps(geometry: Geometry, taps: TapWindow, depthwise: bool) -> BoolArray:
    """A mask that broadcasts against the layer's weights, true at the taps in `taps`."""
    inside = np.zeros((geometry.k_h, geometry.k_w, 1), np.bool_)
    inside[taps.y0 : taps.y1, taps.x0 : taps.x1] = True
    return inside if depthwise else inside[np.newaxis]
