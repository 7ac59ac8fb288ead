"""The kernels of all training ops; here are those of the ops that change weights and biases."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from tflm_train import ops
from tflm_train.backward_ops import conv_2d, depthwise_conv_2d
from tflm_train.backward_ops.kernel import HALF_WORD, LANES, WORD, Kernel, Kernels, Step
from tflm_train.backward_ops.numerics import bias_gradient
from tflm_train.backward_ops.registry import declared
from tflm_train.graph import Op
from tflm_train.ops.geometry import Geometry, TapWindow, layer_geometry
from tflm_train.ops.target import align
from tflm_train.qas.update import (
    multipliers,
    pack_nibbles,
    stochastic_key,
    trained_taps,
    unpack_nibbles,
    update_bias,
    update_weights,
)

# Of update_plan.h and panel.h.
_MAX_DEPTH = 512
_INPUT_BYTES = 6288
_TAIL_BYTES = 12  # behind each panel of the input


def _conv_update(op: Op, params: ops.ConvUpdate, step: Step) -> None:
    geometry = layer_geometry(params.geometry, params.transposed)
    _update(ops.ConvUpdate.inputs_of(op), params.update, geometry, conv_2d, step)


def _depthwise_update(op: Op, params: ops.DepthwiseUpdate, step: Step) -> None:
    inputs = ops.DepthwiseUpdate.inputs_of(op)
    _update(inputs, params.update, params.geometry, depthwise_conv_2d, step)


def _update(
    inputs: Any, u: ops.UpdateFields, geometry: Geometry, layer: ModuleType, step: Step
) -> None:
    depthwise = layer is depthwise_conv_2d
    weights, bias = step.value(inputs.weights), step.optional(inputs.bias)
    residual = step.optional(inputs.residual)
    q, scale = step.gradient(inputs.gradient, u.slot)
    G, B = layer.weight_gradient(q, step.value(inputs.x), u.x_zero_point, geometry)
    if residual is not None and u.residual_bits == 4:
        residual = unpack_nibbles(residual, weights.size)
    factors = step.value(inputs.factors)
    new_weights, new_residual = update_weights(
        weights.reshape(G.shape),
        None if residual is None else residual.reshape(G.shape),
        G,
        multipliers(step.rate, scale, factors[0], u.gain_shift, u.residual_bits),
        u.gain_shift,
        channel_axis=-1 if depthwise else 0,
        residual_bits=u.residual_bits,
        key=stochastic_key(step.seed, step.number, u.layer),
        columns=step.optional(inputs.channels),
        trained=trained_taps(
            geometry, TapWindow(u.tap_y0, u.tap_y1, u.tap_x0, u.tap_x1), depthwise
        ),
    )
    step.change(inputs.weights, new_weights)
    if inputs.bias is not None and bias is not None:
        step.change(inputs.bias, update_bias(bias, B, factors[-1], step.rate, scale))
    if inputs.residual is not None and new_residual is not None:
        packed = pack_nibbles(new_residual) if u.residual_bits == 4 else new_residual
        step.change(inputs.residual, packed)


def _bias_update(op: Op, params: ops.BiasUpdate, step: Step) -> None:
    inputs = ops.BiasUpdate.inputs_of(op)
    gradient = step.gradient(inputs.gradient, params.slot)
    B = bias_gradient(gradient.q.reshape(params.positions, 1, params.channels))
    factors = step.value(inputs.factors)
    bias = update_bias(step.value(inputs.bias), B, factors, step.rate, gradient.scale)
    step.change(inputs.bias, bias)


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
