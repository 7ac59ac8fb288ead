"""DEPTHWISE_CONV_2D: integer reference of the gradients.

Output channel `c = i * multiplier + j` sees input channel `i` only. With `dL/dy = s_g q`:

    dL/dx[i] = s_g * sum over j and taps of q[c] * (s_W[c] * W[c])
    dL/dW[c] = s_g * s_x * G,   G = sum over output positions of q[c] * (x[i] - z_x)

The weight scales of depthwise layers spread over three decades, too far for the int8 multipliers of
a convolution. But a sum is of one output channel: it is exact, and scaled when it is quantised.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tflm_train import ops
from tflm_train.backward_ops.conv_2d import channel_scales
from tflm_train.backward_ops.depthwise_scratch import depthwise_input_grad_scratch
from tflm_train.backward_ops.kernel import Kernel, Kernels, Step
from tflm_train.backward_ops.layer_rule import (
    LayerGradient,
    LayerRule,
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
)
from tflm_train.backward_ops.rule import Destination, GradientRule
from tflm_train.backward_ops.rule import Gradient as TapeGradient
from tflm_train.backward_ops.split_forward import merge_depthwise_weights
from tflm_train.graph import Op
from tflm_train.ops.geometry import Geometry

FRACTION_BITS = 16
"""Bits below 1 of the relative weight scales, and of the sums that they multiply."""


class DepthwiseMultipliers(NamedTuple):
    """Constants of DEPTHWISE_INPUT_GRAD.

    Attributes:
      m: int32 `[out_c]`, the weight scale of each channel relative to the largest, times 2^16.
      unit_scale: float32, the largest weight scale.
    """

    m: Int32Array
    unit_scale: np.float32


def depthwise_multipliers(weight_scales: npt.ArrayLike, geometry: Geometry) -> DepthwiseMultipliers:
    """Constants that DEPTHWISE_INPUT_GRAD needs beside the weights.

    Args:
      weight_scales: float32 `[out_c]`, or one scale for all channels.
      geometry: The convolution's.

    Raises:
      ModelError: unusable scales.
    """
    scales = channel_scales(weight_scales, geometry.out_c)
    m = np.floor(2.0**FRACTION_BITS * scales / scales.max() + 0.5).astype(np.int32)
    return DepthwiseMultipliers(m, np.float32(scales.max()))


def input_accumulator(
    q: Int8Array,
    weights: Int8Array,
    multipliers: DepthwiseMultipliers,
    geometry: Geometry,
) -> npt.NDArray[np.int64]:
    """The input gradient before quantisation.

    Args:
      q: int8 `[out_h, out_w, out_c]`, the output's gradient, masked.
      weights: int8 `[k_h, k_w, out_c]`.
      multipliers: From `depthwise_multipliers`.
      geometry: The convolution's; `out_c` is a multiple of `in_c`.

    Returns:
      int64 `[in_h, in_w, in_c]`, unit `scale of q * unit_scale * 2^-FRACTION_BITS`.
    """
    g = geometry
    q_wide = q.reshape(g.out_h, g.out_w, g.out_c).astype(np.int32)
    w = weights.reshape(g.k_h, g.k_w, g.out_c).astype(np.int32)
    v = np.zeros((g.in_h, g.in_w, g.out_c), np.int32)
    for tap in g.taps():
        v[tap.in_rows, tap.in_cols] += q_wide[tap.out_rows, tap.out_cols] * w[tap.ky, tap.kx]
    scaled = v.astype(np.int64) * multipliers.m
    acc: npt.NDArray[np.int64] = scaled.reshape(g.in_h, g.in_w, g.in_c, -1).sum(axis=3)
    return acc


def input_gradient(
    gradient: QuantizedGradient,
    weights: Int8Array,
    multipliers: DepthwiseMultipliers,
    geometry: Geometry,
    range_: np.float32,
    mask: Mask | None = None,
    addend: QuantizedGradient | None = None,
) -> Requantized:
    """DEPTHWISE_INPUT_GRAD: the gradient of the convolution's input.

    Args:
      gradient: The output's gradient, masked; `q` is `[out_h, out_w, out_c]`.
      weights: int8 `[k_h, k_w, out_c]`, before their update.
      multipliers: From `depthwise_multipliers`.
      geometry: The convolution's.
      range_: float32, running range of the input gradient's slot.
      mask: Clamp mask of the input.
      addend: A second gradient of the input.

    Returns:
      The gradient `[in_h, in_w, in_c]`, its scale and the slot's new range.
    """
    unit = np.float32(gradient.scale) * multipliers.unit_scale
    acc = input_accumulator(gradient.q, weights, multipliers, geometry)
    return requantize_stream(acc, mask, unit, range_, max_abs(gradient.q), addend, FRACTION_BITS)


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
      `G` int32 `[k_h, k_w, out_c]` in units of `s_g * s_x`, and `B` int32 `[out_c]` in units of
      `s_g`.
    """
    g = geometry
    q = q.reshape(g.out_h, g.out_w, g.out_c)
    q_wide = q.astype(np.int32)
    centred = x.reshape(g.in_h, g.in_w, g.in_c).astype(np.int32) - np.int32(x_zero_point)
    centred = np.repeat(centred, g.out_c // g.in_c, axis=2)
    weights = np.zeros((g.k_h, g.k_w, g.out_c), np.int32)
    for tap in g.taps():
        products = q_wide[tap.out_rows, tap.out_cols] * centred[tap.in_rows, tap.in_cols]
        weights[tap.ky, tap.kx] = products.sum(axis=(0, 1), dtype=np.int32)
    return weights, bias_gradient(q)


class DepthwiseConv2DRule(LayerRule):
    """DEPTHWISE_CONV_2D, any depth multiplier."""

    def geometry(self, op: Op) -> Geometry:
        weights = op.inputs[1]
        assert weights is not None
        return window_geometry(op, weights.shape[3], (weights.shape[1], weights.shape[2]))

    def row_channels(self, geometry: Geometry) -> int:
        return geometry.out_c

    def part(self, geometry: Geometry, kept: Channels) -> Part:
        multiplier = geometry.out_c // geometry.in_c
        return Part(kept[::multiplier] // multiplier, kept)

    def update_params(
        self, geometry: Geometry, fields: ops.UpdateFields, rule: ops.RuleFields
    ) -> WeightUpdate:
        return ops.DepthwiseUpdate(geometry, fields, geometry.out_c // geometry.in_c, rule)

    def input_gradient_params(
        self, op: Op, gradient: TapeGradient, to: Destination, kept: int
    ) -> tuple[LayerGradient, npt.NDArray[np.generic]]:
        geometry = self.geometry(op)
        c = depthwise_multipliers(weight_scales(op), geometry)
        params = ops.DepthwiseInputGrad(
            geometry, to.mask.fields, gradient.slot, to.slot, to.slot_addend,
            float(c.unit_scale), geometry.out_c // geometry.in_c, kept,
        )  # fmt: skip
        return params, c.m


RULES: dict[str, GradientRule] = {"DEPTHWISE_CONV_2D": DepthwiseConv2DRule()}


def _depthwise_input_grad(op: Op, params: ops.DepthwiseInputGrad, step: Step) -> None:
    inputs = params.inputs_of(op)
    weights = step.value(inputs.weights)
    if inputs.columns is not None and inputs.channels is not None:
        columns, channels = step.value(inputs.columns), step.value(inputs.channels)
        weights = merge_depthwise_weights(weights, columns, channels)
    m = DepthwiseMultipliers(step.value(inputs.multipliers), np.float32(params.unit_scale))
    step.requantized(op, params, inputs, input_gradient, weights, m, params.geometry)


KERNELS: Kernels = {
    ops.DepthwiseInputGrad: Kernel(_depthwise_input_grad, depthwise_input_grad_scratch)
}
