"""The kernels of all training ops; here are those of the ops that change weights and biases."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from tflm_train import ops
from tflm_train.backward_ops import conv_2d, depthwise_conv_2d
from tflm_train.backward_ops.kernel import HALF_WORD, LANES, WORD, Array, Kernel, Kernels, Step
from tflm_train.backward_ops.numerics import Int32Array, bias_gradient
from tflm_train.backward_ops.registry import declared
from tflm_train.graph import Op, Tensor
from tflm_train.ops.geometry import Geometry, TapWindow, layer_geometry
from tflm_train.ops.target import align
from tflm_train.qas.rules import (
    Clip,
    apply_bias_steps,
    apply_steps,
    decay_weights,
    places_in_layer,
)
from tflm_train.qas.update import (
    multipliers,
    pack_residual,
    step_limit,
    stochastic_key,
    trained_taps,
    unpack_residual,
    update_bias,
    update_weights,
)

# Of update_plan.h and panel.h.
_MAX_DEPTH = 512
_INPUT_BYTES = 6288
_TAIL_BYTES = 12  # behind each panel of the input


def _conv_update(op: Op, params: ops.ConvUpdate, step: Step) -> None:
    geometry = layer_geometry(params.geometry, params.transposed)
    _update(ops.ConvUpdate.inputs_of(op), params, geometry, conv_2d, step)


def _depthwise_update(op: Op, params: ops.DepthwiseUpdate, step: Step) -> None:
    inputs = ops.DepthwiseUpdate.inputs_of(op)
    _update(inputs, params, params.geometry, depthwise_conv_2d, step)


def _update(
    inputs: Any,
    params: ops.ConvUpdate | ops.DepthwiseUpdate,
    geometry: Geometry,
    layer: ModuleType,
    step: Step,
) -> None:
    u, rule = params.update, params.rule
    x, (q, scale) = step.value(inputs.x), step.gradient(inputs.gradient, u.slot)
    G, B = layer.weight_gradient(q, x, u.x_zero_point, geometry)
    clip = Clip(rule.clip_norm, rule.clip_x, rule.clip_bias)
    rate = _rate(rule, step, clip.factor(q, scale, x, u.x_zero_point), scale)
    _update_weights(inputs, u, rule, geometry, layer is depthwise_conv_2d, G, rate, step)
    if inputs.bias is not None:
        factors = step.value(inputs.factors)[-1]
        _update_bias(inputs.bias, inputs.bias_gathered, B, factors, rate, rule, step)


def _update_weights(
    inputs: Any,
    u: ops.UpdateFields,
    rule: ops.RuleFields,
    geometry: Geometry,
    depthwise: bool,
    G: Int32Array,
    rate: np.float32,
    step: Step,
) -> None:
    key = stochastic_key(step.seed, step.number, u.layer)
    factors, columns = step.value(inputs.factors)[0], step.optional(inputs.channels)
    channel_axis = -1 if depthwise else 0
    trained = trained_taps(geometry, TapWindow(u.tap_y0, u.tap_y1, u.tap_x0, u.tap_x1), depthwise)
    weights = step.value(inputs.weights).reshape(G.shape)
    residual = step.optional(inputs.residual)
    if residual is not None:
        residual = unpack_residual(residual, u.residual_bits, weights.size).reshape(G.shape)
    if rule.weight_decay > 0 and _moves(rule, step):
        along = [1] * G.ndim
        along[channel_axis] = -1
        weights, residual = decay_weights(
            weights,
            residual,
            np.float32(step.rate) * np.float32(rule.weight_decay),
            key,
            residual_bits=u.residual_bits,
            places=places_in_layer(G.shape, u.row_channels, columns),
            trained=trained & (factors != 0).reshape(along),
        )
    gathered = step.optional(inputs.gathered)
    stepped, residual = update_weights(
        weights if gathered is None else gathered.reshape(G.shape),
        residual,
        G,
        multipliers(
            rate,
            np.float32(1),
            factors,
            u.gain_shift,
            u.residual_bits,
            step_limit(geometry, depthwise, u.gain_shift, u.residual_bits, u.row_channels),
        ),
        u.gain_shift,
        channel_axis=channel_axis,
        residual_bits=u.residual_bits,
        key=key,
        columns=columns,
        trained=trained,
    )
    if gathered is None:
        weights = stepped
    else:
        if _moves(rule, step):
            weights, stepped = apply_steps(weights, stepped), np.zeros_like(stepped)
        step.change(inputs.gathered, stepped)
    step.change(inputs.weights, weights)
    if residual is not None:
        step.change(inputs.residual, pack_residual(residual, u.residual_bits))


def _bias_update(op: Op, params: ops.BiasUpdate, step: Step) -> None:
    inputs, rule = ops.BiasUpdate.inputs_of(op), params.rule
    q, scale = step.gradient(inputs.gradient, params.slot)
    B = bias_gradient(q.reshape(params.positions, 1, params.channels))
    clip = Clip(rule.clip_norm, rule.clip_x, rule.clip_bias)
    rate = _rate(rule, step, clip.factor(q, scale), scale)
    _update_bias(inputs.bias, inputs.bias_gathered, B, step.value(inputs.factors), rate, rule, step)


def _update_bias(
    bias: Tensor,
    gathered: Tensor | None,
    B: Int32Array,
    factors: Array,
    rate: np.float32,
    rule: ops.RuleFields,
    step: Step,
) -> None:
    stepped = bias if gathered is None else gathered
    step.change(stepped, update_bias(step.value(stepped), B, factors, rate, np.float32(1)))
    if gathered is not None and _moves(rule, step):
        step.change(bias, apply_bias_steps(step.value(bias), step.value(gathered)))
        step.change(gathered, np.zeros_like(step.value(gathered)))


def _rate(rule: ops.RuleFields, step: Step, clip: np.float32, scale: np.float32) -> np.float32:
    """The learning rate times the gradient's scale, clipped, and of the mean over the samples."""
    base = np.float32(step.rate) * np.float32(scale)
    if rule.clip_norm > 0:
        base = base * clip
    return base if rule.steps == 1 else base / np.float32(rule.steps)


def _moves(rule: ops.RuleFields, step: Step) -> bool:
    return bool(step.number % rule.steps == 0)


def _conv_update_scratch(params: ops.ConvUpdate) -> int:
    """A panel of gradients, panels of the input, and sums where not all positions fit."""
    g = params.geometry
    positions = g.in_h * g.in_w if params.transposed else g.out_h * g.out_w
    depth = min(positions, _MAX_DEPTH)
    panel = HALF_WORD * LANES * align(depth, 8)
    needed = -(-g.in_c // LANES)
    panels = min(needed, max(1, _INPUT_BYTES // (panel + _TAIL_BYTES)))
    sums = WORD * LANES * LANES * panels if positions > depth else 0
    return panel + (panel + _TAIL_BYTES) * panels + sums


KERNELS: Kernels = declared("KERNELS", by=__name__) | {
    ops.ConvUpdate: Kernel(_conv_update, _conv_update_scratch),
    ops.DepthwiseUpdate: Kernel(_depthwise_update, lambda params: 2 * WORD * params.geometry.out_c),
    ops.BiasUpdate: Kernel(_bias_update),
}
"""Those of all training ops."""
