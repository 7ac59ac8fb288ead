"""CONV_2D, and FULLY_CONNECTED as a 1x1 convolution: integer reference of the gradients.

With `y = conv(s_x (x - z_x), s_W[c] W)` and `dL/dy = s_g q`:

    dL/dx = s_g * sum over c, taps of q[c] * s_W[c] * W[c]
    dL/dW[c] = s_g * s_x * G,   G = sum over output positions of q[c] * (x - z_x)
    dL/db[c] = s_g * B,         B = sum over output positions of q[c]

`s_W[c]` is replaced by `m[c] * max s_W / 127` with an int8 `m[c]`, so that `q * m` is exact in
int16 and the sum an int32.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tflm_train import ops
from tflm_train.backward_ops.kernel import HALF_WORD, LANES, WORD, Kernel, Kernels, Step
from tflm_train.backward_ops.layer_rule import (
    LayerGradient,
    LayerRule,
    has_batch_one,
    weight_scales,
    window_geometry,
)
from tflm_train.backward_ops.layer_update import Channels, Part, WeightUpdate
from tflm_train.backward_ops.numerics import (
    Int8Array,
    Int32Array,
    Mask,
    QuantizedGradient,
    Requantized,
    bias_gradient,
    max_abs,
    requantize_stream,
    round_shift,
)
from tflm_train.backward_ops.rule import Constraint, Destination, GradientRule
from tflm_train.backward_ops.rule import Gradient as TapeGradient
from tflm_train.backward_ops.split_forward import merge_conv_weights
from tflm_train.errors import ModelError, UnsupportedError
from tflm_train.graph import Op
from tflm_train.ops.geometry import Geometry, TransposedGeometry, layer_geometry
from tflm_train.ops.target import align

# Of conv_input_grad.cc and panel.h.
_GRADIENT_BYTES = 4096
_ENOUGH_PANELS = 4
_ENOUGH_BYTES = 11264

MAX_PRODUCTS = 1048
"""How many products of three int8 magnitudes up to 127 an int32 holds."""


class ConvMultipliers(NamedTuple):
    """Constants of CONV_INPUT_GRAD.

    Attributes:
      m: int8 `[out_c]`, the weight scale of each output channel relative to the largest.
      unit_scale: float32, multiplies the incoming scale to give the accumulator's unit.
      group: Output channels per int32 partial sum.
      group_shift: Right shift of each partial sum before they are added.
    """

    m: Int8Array
    unit_scale: np.float32
    group: int
    group_shift: int


def channel_scales(weight_scales: npt.ArrayLike, channels: int) -> npt.NDArray[np.float64]:
    """Per-tensor or per-channel weight scales as float64 `[channels]`.

    Raises:
      ModelError: another number of scales, one that is negative or not finite, or none above 0.
    """
    scales = np.asarray(weight_scales, np.float32).astype(np.float64).reshape(-1)
    if scales.size not in (1, channels):
        raise ModelError(f"{scales.size} weight scales for {channels} output channels")
    if not np.isfinite(scales).all() or (scales < 0).any() or not (scales > 0).any():
        raise ModelError("weight scales must be finite, not negative, and one of them above 0")
    return np.broadcast_to(scales, (channels,)).copy()


def conv_multipliers(weight_scales: npt.ArrayLike, geometry: Geometry) -> ConvMultipliers:
    """Constants that CONV_INPUT_GRAD needs beside the weights.

    Args:
      weight_scales: float32 `[out_c]`, or one scale for all channels.
      geometry: The convolution's.

    Raises:
      ModelError: unusable scales.
      UnsupportedError: the kernel has more taps than one int32 sum can hold.
    """
    taps = geometry.k_h * geometry.k_w
    if taps > MAX_PRODUCTS:
        raise UnsupportedError(
            f"a {geometry.k_h}x{geometry.k_w} kernel has more than {MAX_PRODUCTS} taps: "
            "its input gradient does not fit an int32 sum"
        )
    scales = channel_scales(weight_scales, geometry.out_c)
    m = np.floor(127.0 * scales / scales.max() + 0.5).astype(np.int8)
    group = min(geometry.out_c, MAX_PRODUCTS // taps)
    groups = -(-geometry.out_c // group)
    group_shift = (groups - 1).bit_length()
    return ConvMultipliers(
        m, np.float32(scales.max() / 127.0 * 2.0**group_shift), group, group_shift
    )


def input_accumulator(
    q: Int8Array, weights: Int8Array, multipliers: ConvMultipliers, geometry: Geometry
) -> Int32Array:
    """The input gradient before quantisation.

    Args:
      q: int8 `[out_h, out_w, out_c]`, the output's gradient, masked.
      weights: int8 `[out_c, k_h, k_w, in_c]`, magnitudes up to 127.
      multipliers: From `conv_multipliers`.
      geometry: The convolution's.

    Returns:
      int32 `[in_h, in_w, in_c]`, unit `scale of q * unit_scale`.
    """
    g = geometry
    # Products and sums stay below 2^31, so float64 matrix products (BLAS) are exact.
    t = q.reshape(g.out_h, g.out_w, g.out_c).astype(np.float64) * multipliers.m
    w = weights.reshape(g.out_c, g.k_h, g.k_w, g.in_c).astype(np.float64)
    total = np.zeros((g.in_h, g.in_w, g.in_c), np.int32)
    for first in range(0, g.out_c, multipliers.group):
        channels = slice(first, first + multipliers.group)
        partial = np.zeros(total.shape, np.float64)
        for tap in g.taps():
            partial[tap.in_rows, tap.in_cols] += np.tensordot(
                t[tap.out_rows, tap.out_cols, channels], w[channels, tap.ky, tap.kx], axes=1
            )
        total += round_shift(partial.astype(np.int64), multipliers.group_shift)
    return total


def input_gradient(
    gradient: QuantizedGradient,
    weights: Int8Array,
    multipliers: ConvMultipliers,
    geometry: Geometry,
    range_: np.float32,
    mask: Mask | None = None,
    addend: QuantizedGradient | None = None,
) -> Requantized:
    """CONV_INPUT_GRAD: the gradient of the convolution's input.

    Args:
      gradient: The output's gradient, masked; `q` is `[out_h, out_w, out_c]`.
      weights: int8 `[out_c, k_h, k_w, in_c]`, before their update.
      multipliers: From `conv_multipliers`.
      geometry: The convolution's.
      range_: float32, running range of the input gradient's slot.
      mask: Clamp mask of the input.
      addend: A second gradient of the input (the skip branch of a residual block).

    Returns:
      The gradient `[in_h, in_w, in_c]`, its scale and the slot's new range.
    """
    acc = input_accumulator(gradient.q, weights, multipliers, geometry)
    unit = np.float32(gradient.scale) * multipliers.unit_scale
    return requantize_stream(acc, mask, unit, range_, max_abs(gradient.q), addend)


def weight_gradient(
    q: Int8Array, x: Int8Array, x_zero_point: int, geometry: Geometry
) -> tuple[Int32Array, Int32Array]:
    """The exact integer weight and bias gradients.

    Args:
      q: int8 `[out_h, out_w, out_c]`, the output's gradient, masked.
      x: int8 `[in_h, in_w, in_c]`, the forward input.
      x_zero_point: Zero point of `x`; padding contributes 0.
      geometry: The convolution's.

    Returns:
      `G` int32 `[out_c, k_h, k_w, in_c]` in units of `s_g * s_x`, and `B` int32 `[out_c]` in units
      of `s_g`.
    """
    g = geometry
    q = q.reshape(g.out_h, g.out_w, g.out_c)
    rows = q.astype(np.float64)
    centred = x.reshape(g.in_h, g.in_w, g.in_c).astype(np.float64) - x_zero_point
    weights = np.zeros((g.out_c, g.k_h, g.k_w, g.in_c), np.int32)
    for tap in g.taps():
        product = np.tensordot(
            rows[tap.out_rows, tap.out_cols], centred[tap.in_rows, tap.in_cols], ((0, 1), (0, 1))
        )
        weights[:, tap.ky, tap.kx] = product.astype(np.int32)
    return weights, bias_gradient(q)


class Conv2DRule(LayerRule):
    """CONV_2D."""

    def constraints(self) -> list[Constraint]:
        return [*super().constraints(), has_one_group, has_few_taps]

    def geometry(self, op: Op) -> Geometry:
        weights = op.inputs[1]
        assert weights is not None
        return window_geometry(op, weights.shape[0], (weights.shape[1], weights.shape[2]))

    def row_channels(self, geometry: Geometry) -> int:
        return geometry.in_c

    def part(self, geometry: Geometry, kept: Channels) -> Part:
        del geometry
        return Part(kept)

    def update_params(
        self, geometry: Geometry, fields: ops.UpdateFields, rule: ops.RuleFields
    ) -> WeightUpdate:
        return ops.ConvUpdate(geometry, fields, int(isinstance(geometry, TransposedGeometry)), rule)

    def input_gradient_params(
        self, op: Op, gradient: TapeGradient, to: Destination, kept: int
    ) -> tuple[LayerGradient, npt.NDArray[np.generic]]:
        geometry = self.geometry(op)
        c = conv_multipliers(weight_scales(op), geometry)
        params = ops.ConvInputGrad(
            geometry, to.mask.fields, gradient.slot, to.slot, to.slot_addend,
            float(c.unit_scale), c.group, c.group_shift,
            kept, int(isinstance(geometry, TransposedGeometry)),
        )  # fmt: skip
        return params, c.m


class FullyConnectedRule(Conv2DRule):
    """FULLY_CONNECTED: a 1x1 convolution over its rows."""

    def constraints(self) -> list[Constraint]:
        return [
            constraint
            for constraint in LayerRule.constraints(self)
            if constraint is not has_batch_one  # rows may be many
        ]

    def geometry(self, op: Op) -> Geometry:
        weights = op.inputs[1]
        assert weights is not None
        out_c, in_c = weights.shape
        return Geometry.dense(op.input.size // in_c, in_c, out_c)


def has_one_group(op: Op) -> str | None:
    """The convolution is not grouped."""
    weights = op.inputs[1]
    assert weights is not None
    if weights.shape[3] != op.input.shape[3]:
        return f"it is a grouped convolution ({op.input.shape[3] // weights.shape[3]} groups)"
    return None


def has_few_taps(op: Op) -> str | None:
    """The kernel has at most 1048 taps (height times width)."""
    weights = op.inputs[1]
    assert weights is not None
    _, k_h, k_w, _ = weights.shape
    if k_h * k_w > MAX_PRODUCTS:
        return f"its {k_h}x{k_w} kernel has more than {MAX_PRODUCTS} taps"
    return None


RULES: dict[str, GradientRule] = {
    "CONV_2D": Conv2DRule(),
    "FULLY_CONNECTED": FullyConnectedRule(),
}


def _conv_input_grad(op: Op, params: ops.ConvInputGrad, step: Step) -> None:
    inputs = params.inputs_of(op)
    weights = step.value(inputs.weights)
    if inputs.columns is not None and inputs.channels is not None:
        columns, order = step.value(inputs.columns), step.value(inputs.channels)
        weights = merge_conv_weights(weights, columns, order)
    unit = np.float32(params.unit_scale)
    m = ConvMultipliers(step.value(inputs.multipliers), unit, params.group, params.group_shift)
    geometry = layer_geometry(params.geometry, params.transposed)
    step.requantized(op, params, inputs, input_gradient, weights, m, geometry)


def _conv_input_grad_scratch(params: ops.ConvInputGrad) -> int:
    """Pixel by pixel, or panels of gradients to multiply a panel of weights with."""
    g = params.geometry
    is_split = params.group < g.out_c
    by_pixels = WORD * g.in_c * (1 + is_split + (params.kept > 0))
    if is_split or params.transposed or g.in_h * g.in_w <= 1:
        return by_pixels
    pointwise = (g.k_h, g.k_w, g.stride_h, g.stride_w, g.pad_t, g.pad_l) == (1, 1, 1, 1, 0, 0)
    same_size = (g.in_h, g.in_w) == (g.out_h, g.out_w)
    width = g.in_h * g.in_w if pointwise and same_size else g.in_w
    elements = align(g.out_c, 8) * LANES * g.k_h * g.k_w
    per_row = (width + g.stride_w - 1) // g.stride_w
    needed = -(-per_row // LANES)
    panel = HALF_WORD * elements
    most = max(1, _GRADIENT_BYTES // panel, min(_ENOUGH_PANELS, _ENOUGH_BYTES // panel))
    blocks = -(-needed // most)
    panels = -(-needed // blocks)
    return max(by_pixels, panel * (panels + 1))


KERNELS: Kernels = {ops.ConvInputGrad: Kernel(_conv_input_grad, _conv_input_grad_scratch)}
