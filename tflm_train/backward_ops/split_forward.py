"""Forward of the layers that train in part: integer reference of SPLIT_CONV and SPLIT_DEPTHWISE.

The trained channels' weights are the columns, a variable; the constant is the rest of a
convolution's weights, or the whole of a depthwise layer's. Columns and constant together are whole
weights, and the result is that of TFLM's CONV_2D, FULLY_CONNECTED or DEPTHWISE_CONV_2D with them.
"""

import numpy as np
import numpy.typing as npt

from tflm_train import ops
from tflm_train.backward_ops.kernel import HALF_WORD, WORD, Kernel, Kernels
from tflm_train.backward_ops.numerics import Int8Array, Int32Array
from tflm_train.ops.geometry import Geometry

Int16Array = npt.NDArray[np.int16]


def merge_conv_weights(rest: Int8Array, columns: Int8Array, order: Int16Array) -> Int8Array:
    """The whole weights of a convolution.

    Args:
      rest: int8 `[out_c, ..., in_c - kept]`.
      columns: int8 `[out_c, ..., kept]`.
      order: int16 `[in_c]`, the input channels of `rest`, then of `columns`.

    Returns:
      int8 `[out_c, taps, in_c]`.
    """
    parts = [part.reshape(part.shape[0], -1, part.shape[-1]) for part in (rest, columns)]
    whole = np.empty((*parts[0].shape[:2], order.size), np.int8)
    whole[..., order] = np.concatenate(parts, axis=-1)
    return whole


def merge_depthwise_weights(
    weights: Int8Array, columns: Int8Array, channels: Int16Array
) -> Int8Array:
    """The whole weights of a depthwise layer.

    Args:
      weights: int8 `[..., out_c]`, the constant.
      columns: int8, `channels.size` elements in place of each row's constant ones.
      channels: int16, ascending output channels.

    Returns:
      int8 in the shape of `weights`.
    """
    whole = weights.copy()
    whole[..., channels] = columns.reshape(*weights.shape[:-1], channels.size)
    return whole


def requantize(acc: npt.ArrayLike, multiplier: npt.ArrayLike, shift: npt.ArrayLike) -> Int32Array:
    """TFLM's `MultiplyByQuantizedMultiplier` with its two roundings.

    Args:
      acc: int32 values; `acc * 2^shift` fits an int32.
      multiplier: int32, 2^30 or more, or 0; broadcasts against `acc`.
      shift: -31 to 30, positive to the left; broadcasts against `acc`.

    Returns:
      int32, about `acc * multiplier * 2^(shift - 31)`.
    """
    a, m, s = (np.asarray(v, np.int64) for v in (acc, multiplier, shift))
    product = (a << s.clip(0)) * m
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = np.where(nudged >= 0, nudged >> 31, -(-nudged >> 31))
    # Half away from zero.
    n = (-s).clip(0)
    half = (np.int64(1) << n) >> 1
    rounded = np.where(n == 0, high, (high + half + (high >> 31)) >> n)
    return np.asarray(rounded, np.int32)


def accumulate(
    x: Int8Array,
    weights: Int8Array,
    bias: Int32Array | None,
    geometry: Geometry,
    x_zero_point: int,
    depthwise: bool,
) -> Int32Array:
    """A layer's sums before requantisation.

    Args:
      x: int8 `[in_h, in_w, in_c]`.
      weights: int8 `[out_c, k_h, k_w, in_c]` or, depthwise, `[k_h, k_w, out_c]`: the merged ones.
      bias: int32 `[out_c]`, None for a layer without one.
      geometry: The layer's.
      x_zero_point: Zero point of `x`; padding contributes 0.
      depthwise: Whether each output channel sees one input channel only.

    Returns:
      int32 `[out_h, out_w, out_c]`.
    """
    g = geometry
    # Sums stay below 2^31, so float64 matrix products (BLAS) are exact.
    centred = x.reshape(g.in_h, g.in_w, g.in_c).astype(np.float64) - x_zero_point
    shape = (g.k_h, g.k_w, g.out_c) if depthwise else (g.out_c, g.k_h, g.k_w, g.in_c)
    w = weights.reshape(shape).astype(np.float64)
    if depthwise:
        centred = np.repeat(centred, g.out_c // g.in_c, axis=2)
    acc = np.zeros((g.out_h, g.out_w, g.out_c), np.float64)
    for tap in g.taps():
        seen = centred[tap.in_rows, tap.in_cols]
        if depthwise:
            acc[tap.out_rows, tap.out_cols] += seen * w[tap.ky, tap.kx]
        else:
            acc[tap.out_rows, tap.out_cols] += np.tensordot(seen, w[:, tap.ky, tap.kx], (2, 1))
    total = acc.astype(np.int64)
    return (total if bias is None else total + bias).astype(np.int32)


def forward(
    x: Int8Array,
    weights: Int8Array,
    bias: Int32Array | None,
    multiplier: Int32Array,
    shift: Int32Array,
    geometry: Geometry,
    output: ops.OutputFields,
    depthwise: bool,
) -> Int8Array:
    """SPLIT_CONV and SPLIT_DEPTHWISE, with the weights merged.

    Args:
      x: int8 `[in_h, in_w, in_c]`.
      weights: int8 `[out_c, k_h, k_w, in_c]` or, depthwise, `[k_h, k_w, out_c]`.
      bias: int32 `[out_c]`, None for a layer without one.
      multiplier: int32 `[out_c]`, TFLM's mantissas of `s_x * s_W / s_y`.
      shift: int32 `[out_c]`, and their exponents.
      geometry: The layer's.
      output: Zero points and the clamp range.
      depthwise: Whether each output channel sees one input channel only.

    Returns:
      int8 `[out_h, out_w, out_c]`.
    """
    acc = accumulate(x, weights, bias, geometry, output.x_zero_point, depthwise)
    y = requantize(acc, multiplier, shift) + output.y_zero_point
    return y.clip(output.act_min, output.act_max).astype(np.int8)


def _split_conv_scratch(params: ops.SplitConv) -> int:
    g = params.geometry
    return 2 * HALF_WORD * g.k_h * g.k_w * g.in_c


KERNELS: Kernels = {
    ops.SplitConv: Kernel(scratch=_split_conv_scratch),
    ops.SplitDepthwise: Kernel(scratch=lambda params: WORD * params.geometry.out_c),
}
